//! Tells a SQLite file that is busy from one whose lock is held by a process that does nothing.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use sea_orm::sqlx::{self, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

/// How long one attempt waits for the lock.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Somebody who holds the lock and has not written to the disk for longer is stuck: suspended, or idle in a transaction.
/// SQLite writes the pages of a long transaction long before its end.
const STUCK_AFTER: Duration = Duration::from_millis(1_500);

/// The sizes and times of the files.
type Written = [Option<(u64, Option<SystemTime>)>; 2];

/// Tries to lock the file, on a connection of its own.
pub(super) struct FileLock {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// The database and its write-ahead log.
    files: [PathBuf; 2],
    written: Written,
    progressed_at: Instant,
    stuck_after: Duration,
}

impl FileLock {
    pub(super) fn of(options: SqliteConnectOptions) -> Self {
        let file = options.get_filename().to_owned();
        let mut log = file.clone().into_os_string();
        log.push("-wal");
        Self {
            options: options.create_if_missing(false).busy_timeout(ATTEMPT),
            connection: None,
            files: [file, log.into()],
            written: [None; 2],
            progressed_at: Instant::now(),
            stuck_after: STUCK_AFTER,
        }
    }

    /// Succeeds if the lock can be taken, or whoever holds it writes.
    pub(super) async fn check(&mut self) -> Result<(), String> {
        match self.take().await {
            Ok(()) => self.progressed_at = Instant::now(),
            Err(error) if is_busy(&error) => self.look_for_progress().await,
            Err(error) => return Err(error.to_string()),
        }
        match self.progressed_at.elapsed() < self.stuck_after {
            true => Ok(()),
            false => Err("a process holds the lock of the SQLite file and writes nothing".to_owned()),
        }
    }

    /// If this is dropped, closing the connection releases the lock.
    async fn take(&mut self) -> sqlx::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let taken = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await;
        self.connection = Some(connection);
        taken.map(drop)
    }

    async fn look_for_progress(&mut self) {
        let mut written = [None; 2];
        for (file, written) in self.files.iter().zip(&mut written) {
            *written = tokio::fs::metadata(file).await.ok().map(|data| (data.len(), data.modified().ok()));
        }
        if std::mem::replace(&mut self.written, written) != written {
            self.progressed_at = Instant::now();
        }
    }
}

/// Whether another connection has the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lock_holders_that_write_are_busy_and_others_are_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("parkade.db"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .pragma("cache_size", "10");
        let mut holder = options.connect().await.unwrap();
        let run = async |holder: &mut SqliteConnection, text: &'static str| {
            sqlx::raw_sql(text).execute(holder).await.unwrap();
        };
        run(&mut holder, "CREATE TABLE rows (bytes BLOB)").await;
        let mut lock = FileLock { stuck_after: Duration::from_millis(200), ..FileLock::of(options) };
        lock.check().await.expect("nobody holds it");
        run(&mut holder, "BEGIN IMMEDIATE").await;
        lock.check().await.expect("for the first moments");
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            run(&mut holder, "INSERT INTO rows VALUES (zeroblob(200000))").await;
            lock.check().await.expect("the holder writes");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(lock.check().await.unwrap_err().contains("writes nothing"));
        run(&mut holder, "ROLLBACK").await;
        lock.check().await.expect("it is free again");
    }
}
