//! Which tables a database has, and whether they hold data.

use anyhow::{Result, ensure};
use sea_orm::ConnectionTrait;

use crate::{
    operations::schema::{MIGRATIONS_TABLE, TABLES},
    platform::db::{Db, Engine, sql},
};

const IN_SQLITE: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";

const IN_POSTGRES: &str =
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename";

/// The names of all tables, including the one that records migrations. Fails without that one.
pub(super) async fn names_of_migrated(db: &Db) -> Result<Vec<String>> {
    let names = names(db).await?;
    ensure!(names.iter().any(|name| name == MIGRATIONS_TABLE), "the database has no Parkade schema");
    Ok(names)
}

async fn names(db: &Db) -> Result<Vec<String>> {
    let text = match db.engine() {
        Engine::Sqlite => IN_SQLITE,
        Engine::Postgres => IN_POSTGRES,
    };
    let rows = db.read().query_all_raw(sql(db.read(), text, [])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?)
}

/// Written by every process that starts.
const WITHOUT_DATA: [&str; 2] = ["installation", "schedules"];

/// Whether the database has no rows besides those that a start inserts.
pub(in crate::operations) async fn are_empty(url: &str) -> Result<bool> {
    let db = Db::connect(url, 1).await?;
    let names = names(&db).await?;
    let mut are_empty = true;
    let with_data =
        |name: &&String| TABLES.contains(&name.as_str()) && !WITHOUT_DATA.contains(&name.as_str());
    for name in names.iter().filter(with_data) {
        let first = sql(db.read(), &format!("SELECT 1 FROM {name} LIMIT 1"), []);
        are_empty &= db.read().query_one_raw(first).await?.is_none();
    }
    db.close().await;
    Ok(are_empty)
}
