//! Tells a SQLite file that is busy from one whose lock is held by a process that does nothing.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use sea_orm::sqlx::{self, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::lock_holder::Holder;

/// How long one attempt waits for the lock.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Another process that holds the lock and has neither computed nor written to the disk for longer is stuck: suspended, or
/// idle in a transaction. SQLite writes the pages of a long transaction long before its end.
const STUCK_AFTER: Duration = Duration::from_millis(1_500);

/// What changes while somebody works: the sizes and times of the files, and the processor time of the holder.
type Work = ([Option<(u64, Option<SystemTime>)>; 2], Option<Holder>);

/// Tries to lock the file, on a connection of its own.
pub(super) struct FileLock {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// The database and its write-ahead log.
    files: [PathBuf; 2],
    /// The index of the log, on which the lock is; `None` to know nothing about who holds it.
    index: Option<PathBuf>,
    work: Work,
    progressed_at: Instant,
    stuck_after: Duration,
}

impl FileLock {
    pub(super) fn of(options: SqliteConnectOptions) -> Self {
        let file = options.get_filename().to_owned();
        let beside = |suffix| {
            let mut name = file.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (log, index) = (beside("-wal"), beside("-shm"));
        Self {
            options: options.create_if_missing(false).busy_timeout(ATTEMPT),
            connection: None,
            files: [file, log],
            index: Some(index),
            work: Work::default(),
            progressed_at: Instant::now(),
            stuck_after: STUCK_AFTER,
        }
    }

    /// Succeeds if the lock can be taken, or whoever holds it works.
    pub(super) async fn check(&mut self) -> Result<(), String> {
        match self.take().await {
            Ok(()) => self.progressed_at = Instant::now(),
            Err(error) if is_busy(&error) => self.look_for_progress().await,
            Err(error) => return Err(error.to_string()),
        }
        match self.progressed_at.elapsed() < self.stuck_after {
            true => Ok(()),
            false => Err("a process holds the lock of the SQLite file and does nothing".to_owned()),
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
        let mut work = Work::default();
        for (file, written) in self.files.iter().zip(&mut work.0) {
            *written = tokio::fs::metadata(file).await.ok().map(|data| (data.len(), data.modified().ok()));
        }
        work.1 = self.index.as_deref().and_then(Holder::find);
        let is_own = work.1.is_some_and(Holder::is_self);
        if std::mem::replace(&mut self.work, work) != work || is_own {
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
        let mut lock =
            FileLock { stuck_after: Duration::from_millis(200), index: None, ..FileLock::of(options) };
        lock.check().await.expect("nobody holds it");
        run(&mut holder, "BEGIN IMMEDIATE").await;
        lock.check().await.expect("for the first moments");
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            run(&mut holder, "INSERT INTO rows VALUES (zeroblob(200000))").await;
            lock.check().await.expect("the holder writes");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(lock.check().await.unwrap_err().contains("does nothing"));
        run(&mut holder, "ROLLBACK").await;
        lock.check().await.expect("it is free again");
    }

    #[tokio::test]
    async fn a_lock_of_this_process_is_not_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("parkade.db"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let mut holder = options.connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE rows (bytes BLOB); BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
        let mut lock = FileLock { stuck_after: Duration::from_millis(50), ..FileLock::of(options) };
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            lock.check().await.expect("a statement of ours runs for as long as it takes");
        }
    }
}
