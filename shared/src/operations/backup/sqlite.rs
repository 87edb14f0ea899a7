//! SQLite: `VACUUM INTO` copies the file of a running system; a restored file is verified, then renamed over the old one.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode},
};
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{
    archive::{self, Archive, Manifest},
    checksum::{Rows, Tables},
    files::folder_of,
    tables,
};
use crate::{
    operations::schema::APPLIED_MIGRATIONS,
    platform::{config::Config, db::Db},
};

/// Whether the URL names a SQLite file that does not exist. Connecting would create it.
#[must_use]
pub fn is_missing(url: &str) -> bool {
    file(url).is_ok_and(|file| file.is_some_and(|file| !file.exists()))
}

/// The file that a URL names; `None` for another engine.
pub(super) fn file(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("sqlite:") {
        return Ok(None);
    }
    let options = SqliteConnectOptions::from_str(url).context("invalid SQLite URL")?;
    Ok(Some(options.get_filename().to_owned()))
}

pub(super) async fn create(db: &Db, mut manifest: Manifest, file: &Path) -> Result<Manifest> {
    let scratch = temporary_folder(folder_of(file))?;
    let copy = scratch.path().join("copy.db");
    let name = copy.to_str().context("the file name is not UTF-8")?;
    let pool = db.read().sqlite_pool();
    sqlx::query("VACUUM INTO $1").bind(name).execute(&pool).await.context("copying the database")?;
    let copied = Db::open(&copy).await?;
    (manifest.schema, manifest.tables) = content(&copied).await?;
    copied.close().await;
    archive::write(file, &manifest, |out| {
        io::copy(&mut File::open(&copy)?, out)?;
        Ok(())
    })?;
    Ok(manifest)
}

pub(super) async fn restore(archive: Archive, config: &Config) -> Result<()> {
    let target = file(config.database_url.expose_secret())?.context("not a SQLite URL")?;
    let folder = folder_of(&target);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scratch = temporary_folder(folder)?;
    let staged = scratch.path().join("restored.db");
    io::copy(&mut archive.body()?, &mut create_private(&staged)?)?;
    let db = Db::open(&staged).await?;
    let (_, found) = content(&db).await?;
    archive.manifest.verify(&found)?;
    db.migrate(config.for_migrations()).await?;
    // Closing moves the write-ahead log into the file.
    db.close().await;
    File::open(&staged)?.sync_all()?;
    replace(&target, &staged).await
}

fn temporary_folder(parent: &Path) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix(".parkade-").tempdir_in(parent);
    folder.with_context(|| format!("cannot write to {}", parent.display()))
}

/// Creates a file that only its owner can read.
fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Renames `staged` to `target` while holding an exclusive lock on the old file.
async fn replace(target: &Path, staged: &Path) -> Result<()> {
    let lock = if target.exists() { Some(lock(target).await?) } else { None };
    // SQLite would apply leftovers of a crash to the new file.
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut name = target.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    fs::rename(staged, target).context("moving the restored file into place")?;
    File::open(folder_of(target))?.sync_all()?;
    if let Some(connection) = lock {
        connection.close().await.ok();
    }
    Ok(())
}

/// Locks the file exclusively. Leaving write-ahead mode only succeeds when no other connection is open.
pub(super) async fn lock(target: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(target)
        .busy_timeout(Duration::from_secs(1))
        .journal_mode(SqliteJournalMode::Delete);
    let locked = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let connection = locked.await;
    let is_busy = connection.as_ref().err().and_then(sqlx::Error::as_database_error).is_some_and(|error| {
        error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
    });
    ensure!(!is_busy, "the database is in use; stop the API and all workers first");
    connection.context("cannot open the existing database; move its file away and restore again")
}

/// The applied migrations and the checksum of every table.
async fn content(db: &Db) -> Result<(Vec<String>, Tables)> {
    let names = tables::names_of_migrated(db).await?;
    let pool = db.read().sqlite_pool();
    let schema = sqlx::query_scalar(APPLIED_MIGRATIONS).fetch_all(&pool).await?;
    let mut tables = Tables::new();
    for name in names {
        let rows = checksum(&pool, &name).await?;
        tables.insert(name, rows);
    }
    Ok((schema, tables))
}

async fn checksum(pool: &SqlitePool, table: &str) -> Result<Rows> {
    let columns = "SELECT group_concat('quote(\"' || name || '\")', ' || char(10) || ') FROM
         (SELECT name FROM pragma_table_info($1) ORDER BY name)";
    let columns: String = sqlx::query_scalar(columns).bind(table).fetch_one(pool).await?;
    let text = format!("SELECT {columns} FROM \"{table}\"");
    let mut lines = sqlx::query_scalar::<_, String>(AssertSqlSafe(text)).fetch(pool);
    let mut rows = Rows::default();
    while let Some(line) = lines.try_next().await? {
        rows.add(line.as_bytes());
    }
    Ok(rows)
}
