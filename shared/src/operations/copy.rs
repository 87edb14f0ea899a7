//! Copies a SQLite database into an empty PostgreSQL database, in one transaction that commits only if all rows agree.

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use futures::TryStreamExt;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{
    backup::{self, Rows, Tables},
    schema::{APPLIED_MIGRATIONS, TABLES, known_migrations},
};
use crate::platform::{
    config::Config,
    db::{Db, target},
};

/// Rows per statement.
const BATCH: usize = 500;

/// Copies the database of the settings to `to`, and returns the rows of each table. `on_rows` is given the number of rows
/// that were copied since it was last called.
///
/// # Errors
/// When a process uses one of the databases, the target contains data, or a row differs after the copy. The target then has
/// no data.
pub async fn copy(config: &Config, to: &str, on_rows: impl Fn(u64)) -> Result<Tables> {
    let from = config.database_url.expose_secret();
    ensure!(from.starts_with("sqlite:"), "DATABASE_URL must name the SQLite database that is to be copied");
    ensure!(to.starts_with("postgres"), "--to must be a postgres:// URL");
    ensure!(!backup::is_missing(from), "{} does not exist", target(from));
    for url in [from, to] {
        backup::ensure_unused(url).await.with_context(|| target(url))?;
    }
    ensure!(backup::are_empty(to).await?, "{} contains data; name an empty database", target(to));
    let source = Db::connect(from, 1).await?;
    let applied: Vec<String> =
        sqlx::query_scalar(APPLIED_MIGRATIONS).fetch_all(&source.read().sqlite_pool()).await?;
    ensure!(
        applied == known_migrations(),
        "{} has the schema of another release; run parkade-api migrate up first",
        target(from)
    );
    let destination = Db::connect(to, 1).await?;
    destination.migrate(config.for_migrations()).await?;
    let copied = copy_tables(&source, &destination, on_rows).await;
    source.close().await;
    destination.close().await;
    copied
}

async fn copy_tables(source: &Db, destination: &Db, on_rows: impl Fn(u64)) -> Result<Tables> {
    let mut postgres = destination.write().postgres_pool().acquire().await?.detach();
    sqlx::raw_sql(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
    )
    .execute(&mut postgres)
    .await?;
    let mut tables = Tables::new();
    for name in TABLES {
        let table = Table::load(&mut postgres, name).await?;
        let copied = table.copy(source, &mut postgres, &on_rows).await?;
        let found = table.read_back(&mut postgres).await?;
        ensure!(copied == found, "the rows of {name} differ after the copy; nothing was kept");
        tables.insert(name.to_owned(), found);
    }
    sqlx::raw_sql("COMMIT").execute(&mut postgres).await?;
    postgres.close().await.ok();
    Ok(tables)
}

/// A table, with the names and types that PostgreSQL has for its columns, except for computed ones.
struct Table {
    name: &'static str,
    columns: Vec<(String, String)>,
    /// Whether its ids are counted.
    has_counter: bool,
}

impl Table {
    async fn load(postgres: &mut PgConnection, name: &'static str) -> Result<Self> {
        let columns = "SELECT column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'";
        let columns = sqlx::query_as(columns).bind(name).fetch_all(&mut *postgres).await?;
        let counter = "SELECT COUNT(*) > 0 FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 AND column_name = 'id' AND is_identity = 'YES'";
        let has_counter = sqlx::query_scalar(counter).bind(name).fetch_one(postgres).await?;
        Ok(Self { name, columns, has_counter })
    }

    /// Copies all rows without the effects of triggers, and returns their checksum.
    async fn copy(&self, source: &Db, postgres: &mut PgConnection, on_rows: &impl Fn(u64)) -> Result<Rows> {
        let Self { name, .. } = self;
        let begin = format!("ALTER TABLE \"{name}\" DISABLE TRIGGER USER; DELETE FROM \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *postgres).await?;
        let pool = source.read().sqlite_pool();
        let mut lines = sqlx::query_scalar::<_, String>(AssertSqlSafe(self.select())).fetch(&pool);
        let (mut rows, mut batch) = (Rows::default(), Vec::with_capacity(BATCH));
        while let Some(line) = lines.try_next().await? {
            rows.add(self.canonical(&line)?.as_bytes());
            batch.push(line);
            if batch.len() == BATCH {
                on_rows(self.insert(postgres, &mut batch).await?);
            }
        }
        on_rows(self.insert(postgres, &mut batch).await?);
        if self.has_counter {
            self.set_counter(source, postgres).await?;
        }
        let end = format!("ALTER TABLE \"{name}\" ENABLE TRIGGER USER");
        sqlx::raw_sql(AssertSqlSafe(end)).execute(postgres).await?;
        Ok(rows)
    }

    /// Selects each row of SQLite as a JSON object.
    fn select(&self) -> String {
        let member = |(column, kind): &(String, String)| match kind.as_str() {
            "uuid" => {
                format!("'{column}', CASE WHEN \"{column}\" IS NOT NULL THEN lower(hex(\"{column}\")) END")
            }
            _ => format!("'{column}', \"{column}\""),
        };
        let members: Vec<_> = self.columns.iter().map(member).collect();
        format!("SELECT json_object({}) FROM \"{}\"", members.join(", "), self.name)
    }

    async fn insert(&self, postgres: &mut PgConnection, batch: &mut Vec<String>) -> Result<u64> {
        let name = self.name;
        let columns: Vec<_> = self.columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let columns = columns.join(", ");
        let text = format!(
            "INSERT INTO \"{name}\" ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::\"{name}\", $1::json)"
        );
        let rows = format!("[{}]", batch.join(","));
        batch.clear();
        let inserted = sqlx::query(AssertSqlSafe(text)).bind(rows).execute(postgres).await;
        Ok(inserted.with_context(|| format!("copying {name}"))?.rows_affected())
    }

    /// The next id follows those that SQLite has given out, even if their rows are gone.
    async fn set_counter(&self, source: &Db, postgres: &mut PgConnection) -> Result<()> {
        let last = "SELECT seq FROM sqlite_sequence WHERE name = $1 AND seq > 0";
        let last: Option<i64> =
            sqlx::query_scalar(last).bind(self.name).fetch_optional(&source.read().sqlite_pool()).await?;
        if let Some(last) = last {
            let text = "SELECT setval(pg_get_serial_sequence(quote_ident($1), 'id'), $2)";
            sqlx::query(text).bind(self.name).bind(last).execute(postgres).await?;
        }
        Ok(())
    }

    async fn read_back(&self, postgres: &mut PgConnection) -> Result<Rows> {
        let text = format!("SELECT row_to_json(t)::text FROM \"{}\" t", self.name);
        let mut lines = sqlx::query_scalar::<_, String>(AssertSqlSafe(text)).fetch(postgres);
        let mut rows = Rows::default();
        while let Some(line) = lines.try_next().await? {
            rows.add(self.canonical(&line)?.as_bytes());
        }
        Ok(rows)
    }

    /// A row of either engine in one form: instants in microseconds, switches as numbers, ids without hyphens.
    fn canonical(&self, row: &str) -> Result<String> {
        let row: Map<String, Value> = serde_json::from_str(row)?;
        let value = |(column, kind): &(String, String)| {
            let value = row.get(column).with_context(|| format!("{} has no column {column}", self.name))?;
            Ok(match (kind.as_str(), value) {
                ("uuid", Value::String(text)) => text.replace('-', "").into(),
                ("boolean", Value::Bool(is_true)) => u8::from(*is_true).into(),
                ("timestamp with time zone", Value::String(text)) => {
                    DateTime::parse_from_rfc3339(text)?.timestamp_micros().into()
                }
                (_, value) => value.clone(),
            })
        };
        let values: Vec<Value> = self.columns.iter().map(value).collect::<Result<_>>()?;
        Ok(Value::from(values).to_string())
    }
}
