//! Makes a backup while the system keeps running.

use std::path::Path;

use anyhow::{Result, ensure};
use secrecy::ExposeSecret;

use super::{
    archive::Manifest,
    checksum::Tables,
    postgres,
    sqlite::{self, is_missing},
};
use crate::{
    base::clock::Clock,
    platform::{
        config::Config,
        db::{Db, Engine},
    },
};

/// Writes a backup of the database to `file`.
///
/// # Errors
/// When the database cannot be read or the file cannot be written. An existing file is then unchanged.
pub async fn create(config: &Config, clock: &Clock, file: &Path) -> Result<Manifest> {
    ensure!(!file.exists(), "{} exists already; name another file", file.display());
    let url = config.database_url.expose_secret();
    ensure!(
        !is_missing(url),
        "the database file does not exist; check DATABASE_URL and the working directory"
    );
    let db = Db::connect(url, 1).await?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: clock.now(),
        engine: db.engine(),
        engine_version: db.version().await?,
        schema: Vec::new(),
        tables: Tables::new(),
    };
    let written = match db.engine() {
        Engine::Sqlite => sqlite::create(&db, manifest, file).await,
        Engine::Postgres => postgres::create(&db, url, manifest, file).await,
    };
    db.close().await;
    written
}
