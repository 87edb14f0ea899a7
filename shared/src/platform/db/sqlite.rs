//! Connecting to a SQLite file.

use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{
    SqliteTransactionMode, TransactionOptions,
    sqlx::{
        self, ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use tokio::sync::{Mutex, watch};

use super::{
    file_lock::{FileLock, is_busy},
    pool::{ACQUIRE_TIMEOUT, Pool, Statements},
    wal::WriteAheadLog,
    watchdog::Watchdog,
};
use crate::base::error::{Error, Result};

/// Between two attempts to open a file that is busy.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How long a write waits for its turn and for the lock of the file, unless the watchdog finds the lock stuck: somebody
/// may be importing a million rows. A request ends after 30 s in any case.
const WRITE_TIMEOUT: Duration = Duration::from_secs(25);

/// A transaction that takes the write lock when it begins. One that read first and wrote later would fail with "database
/// is locked" in the middle.
pub(super) fn write_transaction() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

/// The settings in a URL such as `sqlite://path?mode=rwc`.
pub(super) fn parse(url: &str) -> Result<SqliteConnectOptions> {
    Ok(SqliteConnectOptions::from_str(url).context("the SQLite URL is malformed")?)
}

/// Opens a file with one connection that writes, its log, and other connections that read. The receiver counts recoveries.
pub(super) async fn connect(
    options: SqliteConnectOptions,
    readers: u32,
    may_create: bool,
) -> Result<(Pool, WriteAheadLog, Pool, watch::Receiver<u64>)> {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        // A durable commit waits for the log (see `WriteAheadLog`).
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(WRITE_TIMEOUT)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    if let Some(folder) = options.get_filename().parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    if may_create {
        create_private(options.get_filename());
    }
    let writer = open(options.clone(), 1, WRITE_TIMEOUT).await?;
    // SQLite puts the log beside the file itself, not beside a link to it.
    let log = WriteAheadLog::of(&std::fs::canonicalize(options.get_filename()).context("SQLite file")?);
    let reader = open(options.clone().create_if_missing(false), readers, ACQUIRE_TIMEOUT).await?;
    let lock = Arc::new(Mutex::new(FileLock::of(options)));
    let ping = move || {
        let lock = lock.clone();
        async move { lock.lock().await.check().await }
    };
    let (watchdog, recoveries) = Watchdog::start(ping);
    let statements = Statements::default();
    let writer = Pool::new(writer.into(), Some(watchdog), &statements);
    Ok((writer, log, Pool::new(reader.into(), None, &statements), recoveries))
}

/// Creates a new file so that only its owner can read it; SQLite gives the files beside it the same permissions. Errors are
/// left to SQLite.
fn create_private(file: &Path) {
    // An existing file stays as it is.
    let _ = File::options().write(true).create_new(true).mode(0o600).open(file);
}

/// Opens a pool. When several processes switch a new file to a write-ahead log at once, SQLite fails at once
/// with "busy" for all but one of them, whatever its timeout, so they retry.
async fn open(
    options: SqliteConnectOptions,
    connections: u32,
    acquire_timeout: Duration,
) -> Result<sqlx::SqlitePool> {
    let started = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .connect_with(options.clone());
        match pool.await {
            Err(error) if is_busy(&error) && started.elapsed() < ACQUIRE_TIMEOUT => {
                tokio::time::sleep(BUSY_RETRY_INTERVAL).await;
            }
            opened => {
                return opened.map_err(|error| {
                    Error::Unavailable(anyhow::Error::new(error).context("cannot open the SQLite database"))
                });
            }
        }
    }
}
