//! Bulk insertion in one transaction: `COPY` on PostgreSQL, statements of a thousand rows on SQLite.

use anyhow::Context;
use sea_orm::{
    ConnectionTrait, Value,
    sqlx::{self, AssertSqlSafe, Postgres, Row, Transaction},
};

use crate::{
    base::error::Result,
    platform::db::{self, Db, Engine, sql},
};

/// A table and the columns to insert, in the order of the rows' values.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
}

/// An open transaction for inserting rows.
pub(super) enum BulkInsert {
    Sqlite(db::Transaction),
    Postgres(Transaction<'static, Postgres>),
}

impl BulkInsert {
    pub(super) async fn begin(db: &Db) -> Result<Self> {
        Ok(match db.engine() {
            Engine::Sqlite => Self::Sqlite(db.begin().await?),
            Engine::Postgres => {
                let pool = db.write().postgres_pool();
                Self::Postgres(pool.begin().await.context("database")?)
            }
        })
    }

    /// Executes a statement without parameters.
    pub(super) async fn execute(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.execute_unprepared(text).await.map(drop)?,
            Self::Postgres(tx) => sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
                .execute(&mut **tx)
                .await
                .map(drop)
                .context("database")?,
        }
        Ok(())
    }

    /// Returns the number that a query selects, or 0 for no row.
    pub(super) async fn number(&mut self, query: &str) -> Result<i64> {
        Ok(match self {
            Self::Sqlite(tx) => match tx.query_one_raw(sql(tx, query, [])).await? {
                Some(row) => row.try_get_by_index(0)?,
                None => 0,
            },
            Self::Postgres(tx) => sqlx::query(AssertSqlSafe(query.to_owned()))
                .fetch_one(&mut **tx)
                .await
                .and_then(|row| row.try_get(0))
                .context("database")?,
        })
    }

    /// Rows per statement. SQLite allows 32,766 values in one.
    const fn batch(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1_000,
            Self::Postgres(_) => 20_000,
        }
    }

    /// Inserts all rows and returns their number. Calls `progress` with the size of each batch.
    pub(super) async fn insert<const N: usize>(
        &mut self,
        table: &Table,
        mut rows: impl Iterator<Item = [Value; N]>,
        mut progress: impl FnMut(u64),
    ) -> Result<u64> {
        let mut total = 0;
        loop {
            let batch: Vec<_> = rows.by_ref().take(self.batch()).collect();
            if batch.is_empty() {
                return Ok(total);
            }
            let size = batch.len() as u64;
            match self {
                Self::Sqlite(tx) => insert_sqlite(tx, table, batch).await?,
                Self::Postgres(tx) => copy_postgres(tx, table, &batch).await?,
            }
            total += size;
            progress(size);
        }
    }

    /// Moves the id sequence past the inserted ids, never back. SQLite does that by itself.
    pub(super) async fn advance_ids(&mut self, table: &Table) -> Result<()> {
        let name = table.name;
        if let Self::Postgres(_) = self {
            let sequence = format!("pg_get_serial_sequence('{name}', 'id')");
            let next = format!("GREATEST((SELECT MAX(id) FROM {name}), nextval({sequence}) - 1, 1)");
            self.number(&format!("SELECT setval({sequence}, {next})")).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await.context("database")?,
        }
        Ok(())
    }
}

async fn insert_sqlite<const N: usize>(
    tx: &db::Transaction,
    table: &Table,
    rows: Vec<[Value; N]>,
) -> Result<()> {
    let row = format!("({})", ["?"; N].join(","));
    let all = vec![row.as_str(); rows.len()].join(",");
    let text = format!("INSERT INTO {} ({}) VALUES {all}", table.name, table.columns);
    tx.execute_raw(sql(tx, &text, rows.into_iter().flatten())).await?;
    Ok(())
}

/// Binary format: nothing to escape, <https://www.postgresql.org/docs/current/sql-copy.html>.
async fn copy_postgres<const N: usize>(
    tx: &mut Transaction<'static, Postgres>,
    table: &Table,
    rows: &[[Value; N]],
) -> Result<()> {
    let mut bytes = Vec::with_capacity(rows.len() * 16 * N);
    bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        bytes.extend_from_slice(&i16::try_from(N).context("too many columns")?.to_be_bytes());
        row.iter().try_for_each(|value| encode(value, &mut bytes))?;
    }
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    let text = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, table.columns);
    let mut copy = tx.copy_in_raw(&text).await.context("database")?;
    copy.send(bytes).await.context("database")?;
    copy.finish().await.context("database")?;
    Ok(())
}

/// Seconds between the Unix epoch in 1970 and that of PostgreSQL in 2000.
const POSTGRES_EPOCH: i64 = 946_684_800;

/// Appends a field: its length, or -1 for NULL, and its bytes.
fn encode(value: &Value, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut field = |data: &[u8]| -> anyhow::Result<()> {
        bytes.extend_from_slice(&i32::try_from(data.len())?.to_be_bytes());
        bytes.extend_from_slice(data);
        Ok(())
    };
    match value {
        Value::BigInt(Some(number)) => field(&number.to_be_bytes()),
        Value::String(Some(text)) => field(text.as_bytes()),
        Value::ChronoDateTimeUtc(Some(at)) => {
            field(&(at.timestamp_micros() - POSTGRES_EPOCH * 1_000_000).to_be_bytes())
        }
        Value::BigInt(None) | Value::String(None) | Value::ChronoDateTimeUtc(None) => {
            bytes.extend_from_slice(&(-1_i32).to_be_bytes());
            Ok(())
        }
        other => anyhow::bail!("no binary encoding for {other:?}"),
    }
}
