//! Backups: one file that holds the whole database as of one instant, and the way back, checked row by row.

mod archive;
mod postgres;
mod sqlite;
mod sum;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, NaiveDateTime, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;

use self::{archive::Archive, sum::differences};
pub use self::{
    archive::Manifest,
    sum::{Rows, Tables},
};
use super::TABLES;
use crate::{
    base::clock::Clock,
    platform::{
        config::Config,
        db::{Db, Engine, sql},
    },
};

/// What has to be typed to restore over data.
pub const PHRASE: &str = "replace all data";

/// Where the migrations that were applied are noted.
const MIGRATIONS: &str = "seaql_migrations";

/// What the name of a backup in a folder of them says besides its time.
const NAME: &str = "parkade-%Y%m%dT%H%M%SZ.backup";

/// The name of a backup of this instant.
#[must_use]
pub fn name(now: DateTime<Utc>) -> String {
    now.format(NAME).to_string()
}

/// The backups in a folder, and of when they are; the oldest first. Other files are none of ours.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<(PathBuf, DateTime<Utc>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let time = entry.file_name().to_str().and_then(|name| NaiveDateTime::parse_from_str(name, NAME).ok());
        files.extend(time.map(|time| (entry.path(), time.and_utc())));
    }
    files.sort_unstable_by_key(|(_, time)| *time);
    Ok(files)
}

/// Writes a backup of the database into `file`, while everything goes on.
///
/// # Errors
/// When the database cannot be read or the file not written; then there is no file, or that of before.
pub async fn create(config: &Config, clock: &Clock, file: &Path) -> Result<Manifest> {
    let url = config.database_url.expose_secret();
    ensure!(!is_missing(url), "there is no database: check DATABASE_URL and the working directory");
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

/// What a file holds, after all of it was read.
///
/// # Errors
/// When it is no backup, or not as it was written.
pub fn look(file: &Path) -> Result<Manifest> {
    Ok(Archive::open(file)?.manifest)
}

/// Puts what `file` holds into the place of the database, and brings its schema up to date. No process may use the database.
///
/// # Errors
/// When the file is damaged, of another engine or a later release; when there is data and `phrase` is not [`PHRASE`]; when a
/// process uses the database; when what arrived is not what was backed up. In all these cases the database is as it was.
pub async fn restore(config: &Config, file: &Path, phrase: Option<&str>) -> Result<Manifest> {
    let archive = Archive::open(file)?;
    let url = config.database_url.expose_secret();
    let manifest = archive.manifest.clone();
    is_for(&manifest, if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres })?;
    if phrase != Some(PHRASE) {
        ensure!(phrase.is_none(), "--confirm must be the words: {PHRASE}");
        ensure!(
            is_empty(url).await.context("looking into the database that is there")?,
            "there is data in the database; to lose it, add --confirm {PHRASE:?}"
        );
    }
    match manifest.engine {
        Engine::Sqlite => sqlite::restore(archive, url).await?,
        Engine::Postgres => postgres::restore(archive, url).await?,
    }
    Ok(manifest)
}

fn is_for(manifest: &Manifest, engine: Engine) -> Result<()> {
    ensure!(
        manifest.engine == engine,
        "it is a backup of {}, and DATABASE_URL names {}; the one does not become the other",
        manifest.engine.name(),
        engine.name()
    );
    let known: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    if let Some(unknown) = manifest.schema.iter().find(|name| !known.contains(name)) {
        bail!(
            "it is of release {}, whose schema ({unknown}) this release does not know; restore it with that one",
            manifest.version
        );
    }
    Ok(())
}

/// Whether the URL names a file that is not there: opening it would make one.
pub(super) fn is_missing(url: &str) -> bool {
    sqlite::file(url).is_ok_and(|file| file.is_some_and(|file| !file.exists()))
}

/// Whether nothing is there, or nothing but what processes write by themselves when they start.
async fn is_empty(url: &str) -> Result<bool> {
    if is_missing(url) {
        return Ok(true);
    }
    let db = Db::connect(url, 1).await?;
    let there = tables(&db).await?;
    let mut is_empty = true;
    for table in TABLES.iter().filter(|table| **table != "schedules" && there.iter().any(|one| one == *table))
    {
        let row =
            db.read().query_one_raw(sql(db.read(), &format!("SELECT 1 FROM {table} LIMIT 1"), [])).await?;
        is_empty &= row.is_none();
    }
    db.close().await;
    Ok(is_empty)
}

/// The tables that are there, ours and that of the migrations.
async fn tables(db: &Db) -> Result<Vec<String>> {
    let text = match db.engine() {
        Engine::Sqlite => sqlite::TABLES,
        Engine::Postgres => postgres::TABLES,
    };
    let rows = db.read().query_all_raw(sql(db.read(), text, [])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?)
}

/// Compares what has arrived with what was backed up.
fn compare(manifest: &Manifest, found: &Tables) -> Result<()> {
    let different = differences(&manifest.tables, found);
    ensure!(
        different.is_empty(),
        "what has arrived is not what was backed up: {}; the database is as it was before",
        different.join(", ")
    );
    Ok(())
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
