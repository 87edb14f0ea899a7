//! Looking after the data: is it sound, and how much of it is there.

pub mod backup;
pub mod cleanup;
pub mod clear;
pub mod dashboard;
pub mod demo;
pub mod doctor;
pub mod integrity;
pub mod reset;
pub mod schedules;

use migration::{Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;

use crate::{
    app::App,
    base::error::Result,
    platform::db::{Engine, sql},
};

/// What the database is and holds.
#[derive(Debug, Clone)]
pub struct DatabaseInfo {
    /// Which engine.
    pub engine: Engine,
    /// Its version.
    pub version: String,
    /// The last migration that was applied.
    pub schema: Option<String>,
    /// Migrations that are still to be applied.
    pub pending: usize,
    /// Tables and their rows.
    pub tables: Vec<(&'static str, i64)>,
}

/// Every table of the product.
pub const TABLES: [&str; 14] = [
    "users",
    "sessions",
    "lots",
    "spots",
    "reservations",
    "jobs",
    "cron_ticks",
    "exports",
    "user_activity",
    "email_deliveries",
    "alerts",
    "idempotency_keys",
    "paused_queues",
    "schedules",
];

/// What the database is and holds; in one query for all tables.
///
/// # Errors
/// Those of the database.
pub async fn database_info(app: &App) -> Result<DatabaseInfo> {
    let db = app.db.read();
    let counts: Vec<String> =
        TABLES.iter().map(|table| format!("(SELECT COUNT(*) FROM {table}) AS {table}")).collect();
    let counts = db.query_one_raw(sql(db, &format!("SELECT {}", counts.join(", ")), [])).await?;
    let mut tables = Vec::new();
    for table in TABLES {
        tables.push((table, counts.as_ref().map(|row| row.try_get("", table)).transpose()?.unwrap_or(0)));
    }
    let applied = Migrator::get_applied_migrations(db).await?;
    Ok(DatabaseInfo {
        engine: app.db.engine(),
        version: app.db.version().await?,
        schema: applied.last().map(|migration| migration.name().to_owned()),
        pending: Migrator::migrations().len() - applied.len(),
        tables,
    })
}
