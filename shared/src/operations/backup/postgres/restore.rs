//! Restores PostgreSQL: everything from dropping the old tables to verifying the new ones is one transaction.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sea_orm::sqlx::{self, Connection};
use secrecy::ExposeSecret;

use super::{programs::Program, psql::Session};
use crate::{
    operations::backup::archive::Archive,
    platform::{config::Config, db::Db},
};

pub(in crate::operations::backup) async fn restore(archive: Archive, config: &Config) -> Result<()> {
    let url = config.database_url.expose_secret();
    let (pg_restore, psql) = (Program::find("pg_restore", url)?, Program::find("psql", url)?);
    ensure!(is_unused(url).await?, "the database is in use; stop the API and all workers first");
    tokio::task::spawn_blocking(move || replace(&archive, &pg_restore, &psql)).await??;
    let db = Db::connect(url, 1).await?;
    let migrated = db.migrate(config.for_migrations()).await;
    migrated.context("the data was restored, but migrating its schema failed")?;
    db.close().await;
    Ok(())
}

/// Whether no other Parkade process is connected. Closed connections may take a moment to disappear from the server.
pub(in crate::operations::backup) async fn is_unused(url: &str) -> Result<bool> {
    let mut own = Db::connect_once(url).await?;
    let text = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'parkade' AND pid <> pg_backend_pid()";
    let mut others: i64 = 1;
    for _ in 0..20 {
        others = sqlx::query_scalar(text).fetch_one(&mut own).await?;
        if others == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    own.close().await?;
    Ok(others == 0)
}

fn replace(archive: &Archive, pg_restore: &Program, psql: &Program) -> Result<()> {
    let mut session = Session::start(psql)?;
    let replaced = session.replace(archive, pg_restore);
    // If psql itself failed, its own message explains more than the broken pipe.
    session.end().and(replaced)
}
