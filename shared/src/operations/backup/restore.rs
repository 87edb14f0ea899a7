//! Replaces the database with a backup.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use secrecy::ExposeSecret;

use super::{
    archive::{Archive, Manifest},
    postgres, sqlite, tables,
};
use crate::{
    operations::schema::known_migrations,
    platform::{config::Config, db::Engine},
};

/// The confirmation required to restore over existing data.
pub const PHRASE: &str = "replace all data";

/// Reads all of a backup, checks that it is undamaged and describes it.
///
/// # Errors
/// When it is not a backup, or is damaged.
pub fn inspect(file: &Path) -> Result<Manifest> {
    Ok(Archive::open(file)?.manifest)
}

/// Replaces the database with the backup in `file` and migrates it to this release's schema. No process may be using
/// the database.
///
/// # Errors
/// When the backup is damaged, of another engine or of a newer schema; when there is data and `phrase` is not
/// [`PHRASE`]; when the database is in use; when the restored rows differ from the backup. The database is unchanged
/// in all these cases.
pub async fn restore(config: &Config, file: &Path, phrase: Option<&str>) -> Result<Manifest> {
    let archive = Archive::open(file)?;
    let url = config.database_url.expose_secret();
    let manifest = archive.manifest.clone();
    check_compatible(&manifest, if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres })?;
    if phrase != Some(PHRASE) {
        ensure!(phrase.is_none(), "--confirm must be exactly {PHRASE:?}");
        ensure!(
            sqlite::is_missing(url)
                || tables::are_empty(url).await.context("cannot check whether the database is empty")?,
            "the database contains data; to replace it, add --confirm {PHRASE:?}"
        );
    }
    match manifest.engine {
        Engine::Sqlite => sqlite::restore(archive, config).await?,
        Engine::Postgres => postgres::restore(archive, config).await?,
    }
    Ok(manifest)
}

fn check_compatible(manifest: &Manifest, engine: Engine) -> Result<()> {
    ensure!(
        manifest.engine == engine,
        "this is a backup of {} and DATABASE_URL points to {}; \
         a backup cannot be restored into a different database engine",
        manifest.engine.name(),
        engine.name()
    );
    let known = known_migrations();
    if let Some(unknown) = manifest.schema.iter().find(|name| !known.contains(name)) {
        bail!(
            "this backup has the migration {unknown}, which this release does not know; \
             restore it with release {}, which made it",
            manifest.version
        );
    }
    Ok(())
}
