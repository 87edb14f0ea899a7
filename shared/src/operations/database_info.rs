//! The database for operators: engine, schema and size of each table.

use migration::{Migrator, MigratorTraitSelf};
use sea_orm::ConnectionTrait;

use super::schema::TABLES;
use crate::{
    app::App,
    base::error::Result,
    platform::db::{Engine, sql},
};

/// Engine, schema and tables of the database.
#[derive(Debug, Clone)]
pub struct DatabaseInfo {
    /// SQLite or PostgreSQL.
    pub engine: Engine,
    /// The engine's version.
    pub version: String,
    /// The last applied migration.
    pub schema: Option<String>,
    /// How many migrations are not applied yet.
    pub pending: usize,
    /// Table names with their numbers of rows.
    pub tables: Vec<(&'static str, i64)>,
}

/// Describes the database. All tables are counted in one query.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database cannot be reached.
pub async fn read(app: &App) -> Result<DatabaseInfo> {
    let db = app.db.read();
    let counts = TABLES.map(|table| format!("(SELECT COUNT(*) FROM {table}) AS {table}")).join(", ");
    let counts = db.query_one_raw(sql(db, &format!("SELECT {counts}"), [])).await?;
    let mut tables = Vec::new();
    for table in TABLES {
        tables.push((table, counts.as_ref().map(|row| row.try_get("", table)).transpose()?.unwrap_or(0)));
    }
    let applied = Migrator(app.config.for_migrations()).get_applied_migrations(db).await?;
    Ok(DatabaseInfo {
        engine: app.db.engine(),
        version: app.db.version().await?,
        schema: applied.last().map(|migration| migration.name().to_owned()),
        pending: migration::names().len() - applied.len(),
        tables,
    })
}
