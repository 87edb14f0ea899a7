//! SQLite: a copy of the file that VACUUM makes beside the running system; restored by putting a checked file in its place.

use std::{
    fs::{self, File},
    io,
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

use super::{
    MIGRATIONS, Manifest, Rows, Tables,
    archive::{self, Archive},
    compare, folder_of,
};
use crate::platform::db::Db;

pub(super) const TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";

/// The file that a URL names; `None` for another engine.
pub(super) fn file(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("sqlite:") {
        return Ok(None);
    }
    let options = SqliteConnectOptions::from_str(url).context("the SQLite URL cannot be read")?;
    Ok(Some(options.get_filename().to_owned()))
}

pub(super) async fn create(db: &Db, mut manifest: Manifest, file: &Path) -> Result<Manifest> {
    let folder = folder_of(file);
    let scratch = tempfile::Builder::new().prefix(".parkade-").tempdir_in(folder);
    let scratch = scratch.with_context(|| format!("cannot write in {}", folder.display()))?;
    let copy = scratch.path().join("copy.db");
    let name = copy.to_str().context("the name of the file is not UTF-8")?;
    let pool = db.read().sqlite_pool();
    sqlx::query("VACUUM INTO $1").bind(name).execute(&pool).await.context("copying the database")?;
    // From here on nobody else is in it.
    let copied = Db::open(&copy).await?;
    (manifest.schema, manifest.tables) = content(&copied.read().sqlite_pool()).await?;
    copied.close().await;
    archive::write(file, &manifest, |out| {
        io::copy(&mut File::open(&copy)?, out)?;
        Ok(())
    })?;
    Ok(manifest)
}

pub(super) async fn restore(archive: Archive, url: &str) -> Result<()> {
    let target = file(url)?.context("no SQLite file")?;
    let folder = folder_of(&target);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scratch = tempfile::Builder::new().prefix(".parkade-").tempdir_in(folder)?;
    let staged = scratch.path().join("restored.db");
    io::copy(&mut archive.body()?, &mut File::create_new(&staged)?)?;
    let db = Db::open(&staged).await?;
    let (_, found) = content(&db.read().sqlite_pool()).await?;
    compare(&archive.manifest, &found)?;
    db.migrate().await?;
    // Its write-ahead log is folded into it, so that it is one file.
    db.close().await;
    File::open(&staged)?.sync_all()?;
    replace(&target, &staged).await
}

/// Puts `staged` in the place of `target`, which nobody may use meanwhile.
async fn replace(target: &Path, staged: &Path) -> Result<()> {
    let alone = if target.exists() { Some(alone(target).await?) } else { None };
    // What is left of a crash belongs to the old file, and would be read into the new one.
    for end in ["-wal", "-shm", "-journal"] {
        let mut name = target.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    fs::rename(staged, target).context("putting the restored file in place")?;
    File::open(folder_of(target))?.sync_all()?;
    if let Some(connection) = alone {
        connection.close().await.ok();
    }
    Ok(())
}

/// A connection that keeps everybody else out. Leaving the write-ahead log is possible only for the last one that is there.
async fn alone(target: &Path) -> Result<SqliteConnection> {
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
    ensure!(!is_busy, "a process uses the database: stop the API and all workers first");
    connection.context("the database that is there cannot be opened; move it away, and restore into nothing")
}

/// Which migrations were applied, and the rows of every table.
async fn content(pool: &SqlitePool) -> Result<(Vec<String>, Tables)> {
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(pool).await?;
    ensure!(names.iter().any(|name| name == MIGRATIONS), "there is no schema in the database");
    let schema = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version");
    let schema = schema.fetch_all(pool).await?;
    let mut tables = Tables::new();
    for table in names {
        let columns = "SELECT group_concat('quote(\"' || name || '\")', ' || char(10) || ') FROM
             (SELECT name FROM pragma_table_info($1) ORDER BY name)";
        let columns: String = sqlx::query_scalar(columns).bind(&table).fetch_one(pool).await?;
        let text = format!("SELECT {columns} FROM \"{table}\"");
        let mut rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(text)).fetch(pool);
        let mut sum = Rows::default();
        while let Some(row) = rows.try_next().await? {
            sum.add(row.as_bytes());
        }
        drop(rows);
        tables.insert(table, sum);
    }
    Ok((schema, tables))
}
