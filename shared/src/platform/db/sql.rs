//! SQL that both engines understand, and the expressions in which they differ.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// A statement with `$1`-style placeholders, which both engines accept.
pub fn sql<I: IntoIterator<Item = Value>>(db: &impl ConnectionTrait, text: &str, values: I) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

/// The locking clause on PostgreSQL, nothing on SQLite, where a transaction locks the whole file.
pub fn row_lock<'a>(db: &impl ConnectionTrait, clause: &'a str) -> &'a str {
    if db.get_database_backend() == DbBackend::Sqlite { "" } else { clause }
}

/// Whether the database rejected a row because of the constraint or index called `name`, which SQLite reports by its
/// columns.
#[must_use]
pub fn violates(error: &sea_orm::DbErr, name: &str, sqlite_columns: &str) -> bool {
    let text = error.to_string();
    text.contains(name) || text.contains(sqlite_columns)
}

/// An instant as a bound value, typed so that a missing one is NULL.
pub fn at(instant: impl Into<Option<DateTime<Utc>>>) -> Value {
    Value::ChronoDateTimeUtc(instant.into())
}

/// An expression for the microseconds from 1970 to the instant in `column`: differences are exact, and adding an offset
/// gives local times.
pub fn micros(db: &impl ConnectionTrait, column: &str) -> String {
    match db.get_database_backend() {
        // SQLite's time functions round to milliseconds. After the 19th character comes `.123456+00:00` or `+00:00`.
        DbBackend::Sqlite => format!(
            "(unixepoch(substr({column}, 1, 19)) * 1000000
                + CAST(round(CAST(substr({column}, 20) AS REAL) * 1000000) AS INTEGER))"
        ),
        // A double holds microseconds until after 2100, and is much faster than NUMERIC.
        _ => format!("CAST(date_part('epoch', {column}) * 1000000 AS BIGINT)"),
    }
}
