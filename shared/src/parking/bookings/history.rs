//! Streaming reservations by the million: the database formats the lines, and memory holds a few at a time.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use sea_orm::{
    ConnectionTrait,
    sqlx::{self, AssertSqlSafe, PgPool, Row, Sqlite, Transaction, postgres::PgPoolCopyExt},
};

use crate::{
    base::error::{Error, Result},
    platform::db::{Db, Engine},
};

/// Selects reservations; the default selects all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this user.
    pub user_id: Option<i64>,
    /// That begin at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// That begin before this time.
    pub until: Option<DateTime<Utc>>,
    /// In this lot.
    pub lot_id: Option<i64>,
}

/// The columns of a line.
const COLUMNS: [&str; 13] = [
    "r.id",
    "l.location_name",
    "l.address",
    "s.number",
    "COALESCE(r.arrived_at, r.starts_at)",
    "COALESCE(r.left_at, r.ends_at)",
    "r.cost_minor",
    "r.state",
    "r.payment_method",
    "r.transaction_id",
    "r.plate",
    "r.user_id",
    "u.username",
];

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// PostgreSQL's COPY text format.
    Copy,
    /// A JSON array.
    Json,
}

/// The format of the lines from this database.
#[must_use]
pub const fn encoding(engine: Engine) -> Encoding {
    match engine {
        Engine::Postgres => Encoding::Copy,
        Engine::Sqlite => Encoding::Json,
    }
}

const JOINS: &str =
    "JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id JOIN users u ON u.id = r.user_id";

/// Rows per query on SQLite, which returns one long text much faster than many rows.
const PAGE: i64 = 500;

impl Filter {
    /// The condition. COPY takes no parameters, so the numbers and times are written out.
    fn condition(&self, engine: Engine) -> String {
        let instant = |at: &DateTime<Utc>| match engine {
            // As sea-orm stores it, so that text compares as time.
            Engine::Sqlite => format!("'{}'", at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)),
            Engine::Postgres => format!("'{}'::timestamptz", at.to_rfc3339()),
        };
        let conditions: Vec<String> = [
            self.user_id.map(|id| format!("r.user_id = {id}")),
            self.from.as_ref().map(|at| format!("COALESCE(r.arrived_at, r.starts_at) >= {}", instant(at))),
            self.until.as_ref().map(|at| format!("COALESCE(r.arrived_at, r.starts_at) < {}", instant(at))),
            self.lot_id.map(|id| format!("r.lot_id = {id}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") }
    }

    /// The query behind [`lines`], with plain columns.
    #[must_use]
    pub fn query(&self, engine: Engine) -> String {
        let (columns, condition) = (COLUMNS.join(", "), self.condition(engine));
        format!("SELECT {columns} FROM reservations r {JOINS} WHERE {condition} ORDER BY r.id")
    }

    /// The page after the row `$1` as JSON arrays in one text, and the id of its last row.
    fn page(&self) -> String {
        let (columns, condition) = (COLUMNS.join(", "), self.condition(Engine::Sqlite));
        format!(
            "SELECT group_concat(line, char(10)), max(id) FROM (
                SELECT json_array({columns}) AS line, r.id AS id FROM reservations r {JOINS}
                WHERE {condition} AND r.id > $1 ORDER BY r.id LIMIT {PAGE})"
        )
    }
}

/// The number of selected reservations.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let text =
        format!("SELECT COUNT(*) AS count FROM reservations r WHERE {}", filter.condition(db.engine()));
    let row = db.read().query_one_raw(crate::platform::db::sql(db.read(), &text, [])).await?;
    Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or(0))
}

/// The selected reservations by id, in one snapshot. Each item holds one or more complete lines.
pub fn lines(db: &Db, filter: &Filter) -> BoxStream<'static, Result<Vec<u8>>> {
    match db.engine() {
        Engine::Postgres => {
            let copy = format!("COPY ({}) TO STDOUT", filter.query(Engine::Postgres));
            let pool = one_time_connection(db);
            stream::once(async move { pool.copy_out_raw(&copy).await })
                .try_flatten()
                .map_ok(|line| line.to_vec())
                .map_err(failed)
                .boxed()
        }
        Engine::Sqlite => {
            let page = filter.page();
            let pool = db.read().sqlite_pool();
            // One transaction, so that all pages come from one snapshot.
            stream::once(async move { Ok::<_, sqlx::Error>(pages(pool.begin().await?, page)) })
                .try_flatten()
                .map_err(failed)
                .boxed()
        }
    }
}

/// A connection that is closed after use. A COPY that is dropped early, for example by a cancelled export, leaves unread
/// rows on its connection, and sqlx would return them to the next query.
fn one_time_connection(db: &Db) -> PgPool {
    let pool = db.read().postgres_pool();
    let options = pool.options().clone().max_connections(1);
    let options = options.after_release(|_, _| Box::pin(async { Ok(false) }));
    options.connect_lazy_with((*pool.connect_options()).clone())
}

fn pages(
    transaction: Transaction<'static, Sqlite>,
    page: String,
) -> impl futures::Stream<Item = sqlx::Result<Vec<u8>>> {
    stream::try_unfold((transaction, i64::MIN, page), |(mut transaction, last, page)| async move {
        let row = sqlx::query(AssertSqlSafe(page.clone())).bind(last).fetch_one(&mut *transaction).await?;
        let (Some(mut lines), Some(last)) = (row.try_get::<Option<String>, _>(0)?, row.try_get(1)?) else {
            return Ok(None);
        };
        lines.push('\n');
        Ok(Some((lines.into_bytes(), (transaction, last, page))))
    })
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable(anyhow::Error::new(error).context("reading reservations"))
}
