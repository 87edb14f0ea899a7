//! Reservations by the million: rows as lines of text, straight from the database and never all in memory.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{ConnectionTrait, sqlx, sqlx::postgres::PgPoolCopyExt};

use crate::{
    db::{Db, Engine},
    error::{Error, Result},
};

/// Which reservations.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this user; of everybody without.
    pub user_id: Option<i64>,
    /// That begin at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// That begin before this instant.
    pub until: Option<DateTime<Utc>>,
    /// In this lot.
    pub lot_id: Option<i64>,
}

/// The columns of a line, in order; those marked hold text that people typed.
pub const COLUMNS: [(&str, bool); 13] = [
    ("r.id", false),
    ("l.location_name", true),
    ("l.address", true),
    ("s.number", false),
    ("COALESCE(r.arrived_at, r.starts_at)", false),
    ("COALESCE(r.left_at, r.ends_at)", false),
    ("r.cost_minor", false),
    ("r.state", false),
    ("r.payment_method", true),
    ("r.transaction_id", true),
    ("u.vehicle_number", true),
    ("r.user_id", false),
    ("u.username", true),
];

impl Filter {
    /// `FROM … WHERE …`. COPY takes no bound values; these are numbers and instants, so they are written out.
    fn tail(&self, engine: Engine) -> String {
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
        let filter = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
        format!(
            "FROM reservations r JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
             JOIN users u ON u.id = r.user_id WHERE {filter}"
        )
    }

    /// The query whose rows [`lines`] reads, with plain columns: what a bare copy of the same data runs.
    #[must_use]
    pub fn query(&self, engine: Engine) -> String {
        let columns: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
        format!("SELECT {} {} ORDER BY r.id", columns.join(", "), self.tail(engine))
    }

    /// The same, as lines in PostgreSQL's COPY text format, for an engine that has no COPY.
    fn query_of_lines(&self) -> String {
        let cell = |(column, typed): &(&str, bool)| {
            let text = if *typed {
                let escapes = [("'\\'", "'\\\\'"), ("char(9)", "'\\t'"), ("char(10)", "'\\n'"), ("char(13)", "'\\r'")];
                escapes.iter().fold((*column).to_owned(), |sql, (raw, escaped)| format!("replace({sql}, {raw}, {escaped})"))
            } else {
                (*column).to_owned()
            };
            format!("coalesce({text}, '\\N')")
        };
        let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
        format!("SELECT {} {} ORDER BY r.id", cells.join(" || char(9) || "), self.tail(Engine::Sqlite))
    }
}

/// How many reservations there are.
///
/// # Errors
/// Those of the database.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let text = format!("SELECT COUNT(*) AS count {}", filter.tail(db.engine()));
    let row = db.read().query_one_raw(crate::db::sql(db.read(), &text, [])).await?;
    Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or(0))
}

/// The reservations by id, each a line of [`COLUMNS`] in PostgreSQL's COPY text format, as of one instant.
pub fn lines<'a>(db: &'a Db, filter: &Filter) -> BoxStream<'a, Result<Vec<u8>>> {
    match db.engine() {
        Engine::Postgres => {
            let copy = format!("COPY ({}) TO STDOUT", filter.query(Engine::Postgres));
            futures::stream::once(async move {
                let pool = db.read().get_postgres_connection_pool();
                pool.copy_out_raw(&copy).await.map(|lines| lines.map_ok(|bytes| bytes.to_vec()))
            })
            .try_flatten()
            .map_err(failed)
            .boxed()
        }
        Engine::Sqlite => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(filter.query_of_lines()))
            .fetch(db.read().get_sqlite_connection_pool())
            .map_ok(String::into_bytes)
            .map_err(failed)
            .boxed(),
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable(anyhow::Error::new(error).context("reading reservations"))
}
