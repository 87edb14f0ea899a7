//! Connecting to a SQLite file.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{
    DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::{
        self, ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use tokio::sync::watch;

use super::{
    pool::{ACQUIRE_TIMEOUT, Pool, Statements},
    wal::WriteAheadLog,
    watchdog::Watchdog,
};
use crate::base::error::{Error, Result};

/// Between two attempts to open a file that is busy.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// SQLite's result code for a locked file.
const BUSY: &str = "5";

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
) -> Result<(Pool, WriteAheadLog, Pool, watch::Receiver<u64>)> {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        // A durable commit waits for the log (see `WriteAheadLog`).
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(ACQUIRE_TIMEOUT)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    if let Some(folder) = options.get_filename().parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let writer: DatabaseConnection = open(options.clone(), 1).await?.into();
    // SQLite puts the log beside the file itself, not beside a link to it.
    let log = WriteAheadLog::of(&std::fs::canonicalize(options.get_filename()).context("SQLite file")?);
    let reader = open(options.create_if_missing(false), readers).await?;
    let file = writer.clone();
    let (watchdog, recoveries) = Watchdog::start(move || can_write(file.clone()));
    let statements = Statements::default();
    let writer = Pool::new(writer, Some(watchdog), &statements);
    Ok((writer, log, Pool::new(reader.into(), None, &statements), recoveries))
}

/// Whether the write lock can be taken: another process may hold it, and then only writers wait.
async fn can_write(file: DatabaseConnection) -> bool {
    match tokio::spawn(async move { file.begin_with_options(write_transaction()).await }).await {
        Ok(Ok(tx)) => tx.rollback().await.is_ok(),
        _ => false,
    }
}

/// Opens a pool. When several processes switch a new file to a write-ahead log at once, SQLite fails at once
/// with "busy" for all but one of them, whatever its timeout, so they retry.
async fn open(options: SqliteConnectOptions, connections: u32) -> Result<sqlx::SqlitePool> {
    let is_busy =
        |error: &sqlx::Error| error.as_database_error().is_some_and(|e| e.code().as_deref() == Some(BUSY));
    let started = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
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
