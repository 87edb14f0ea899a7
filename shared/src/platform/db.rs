//! The database connection and the few places where the two engines differ.

mod connect;
mod engine;
mod guarded;
mod watch;

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DbBackend, IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, Value,
    sqlx,
};

pub use self::{
    engine::Engine,
    guarded::{Pool, Transaction},
};
use crate::base::error::{Error, Result};

/// Connections to the database. Cheap to clone.
///
/// SQLite has one writer: a pool of one connection queues writes in this process, where waiting is fair and
/// cheap, and readers have connections of their own. On PostgreSQL both are the same pool.
///
/// What may be done again after a crash of the database server need not wait for its disk: PostgreSQL has
/// connections for that, too.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
    write: Pool,
    read: Pool,
    relaxed: Pool,
    returns: tokio::sync::watch::Receiver<u64>,
}

/// How a transaction that writes begins on SQLite.
const IMMEDIATE: Option<SqliteTransactionMode> = Some(SqliteTransactionMode::Immediate);

/// How often a process waits for another one that migrates, each time for [`ACQUIRE_TIMEOUT`].
const MIGRATION_TRIES: usize = 20;

/// How long a caller waits for a free connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

impl Db {
    /// Connects to `sqlite://path` or `postgres://…` with at most `connections` connections.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached, [`Error::Internal`] for a malformed URL.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            Self::sqlite(url, connections).await
        } else {
            Self::postgres(url, connections).await
        }
    }

    /// Which database this is.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The connection for statements that change something.
    #[must_use]
    pub const fn write(&self) -> &Pool {
        &self.write
    }

    /// The connection for statements that only read.
    #[must_use]
    pub const fn read(&self) -> &Pool {
        &self.read
    }

    /// The connection for single statements that may be lost, with their effects, when the database server crashes:
    /// claims and ends of jobs, which are then run again.
    #[must_use]
    pub const fn relaxed(&self) -> &Pool {
        &self.relaxed
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once: one that read first and
    /// wrote later would fail with "database is locked" in the middle.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let mode = IMMEDIATE.filter(|_| self.engine == Engine::Sqlite);
        self.write.begin(TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() }).await
    }

    /// Begins a transaction that sees the data as of one instant and changes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn snapshot(&self) -> Result<Transaction> {
        let level = (self.engine == Engine::Postgres).then_some(IsolationLevel::RepeatableRead);
        self.read.begin(TransactionOptions { isolation_level: level, ..Default::default() }).await
    }

    /// Brings the schema up to date. Of several processes that start at once, one does it and the others wait.
    ///
    /// # Errors
    /// The first migration that fails. PostgreSQL keeps those before it, SQLite is as it was.
    pub async fn migrate(&self) -> Result<()> {
        match self.engine {
            Engine::Sqlite => {
                // The write lock is the queue: whoever comes second finds nothing left to do.
                let tx = self.begin_in_turn().await?;
                Migrator::up(tx.inner(), None).await?;
                tx.commit().await?;
            }
            Engine::Postgres => {
                // The lock lives on a connection of its own, which the migrations do not use.
                let mut lock = self.write.postgres_pool().acquire().await.context("database")?.detach();
                sqlx::raw_sql("SET lock_timeout = 0; SELECT pg_advisory_lock(7033152)")
                    .execute(&mut lock)
                    .await
                    .context("database")?;
                let done = Migrator::up(&self.write.pool(), None).await;
                sqlx::Connection::close(lock).await.context("database")?;
                done?;
            }
        }
        Ok(())
    }

    /// Begins a transaction although another process may hold the file for longer than usual.
    async fn begin_in_turn(&self) -> Result<Transaction> {
        let options = || TransactionOptions { sqlite_transaction_mode: IMMEDIATE, ..Default::default() };
        let file = self.write.patiently();
        for _ in 1..MIGRATION_TRIES {
            match file.begin(options()).await {
                Err(Error::Unavailable(_)) => {}
                begun => return begun,
            }
        }
        file.begin(options()).await
    }

    /// The version of the engine.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn version(&self) -> Result<String> {
        let text = match self.engine {
            Engine::Sqlite => "SELECT sqlite_version() AS version",
            Engine::Postgres => "SELECT current_setting('server_version') AS version",
        };
        let row = self.read.query_one_raw(sql(&self.read, text, [])).await?;
        Ok(row.map(|row| row.try_get("", "version")).transpose()?.unwrap_or_default())
    }

    /// Whether it answered when it was last asked, which is no more than a second ago.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it did not.
    pub async fn ping(&self) -> Result<()> {
        if !self.write.is_well() {
            return Err(Error::Unavailable(anyhow::anyhow!("the database does not answer")));
        }
        self.read.execute_unprepared("SELECT 1").await.map(drop).map_err(|e| Error::Unavailable(e.into()))
    }

    /// The pools by name, with how many connections each has, and how many of them are idle.
    #[must_use]
    pub fn pools(&self) -> [(&'static str, u32, usize); 2] {
        match self.engine {
            Engine::Sqlite => [("write", &self.write), ("read", &self.read)].map(|(name, pool)| {
                let pool = pool.sqlite_pool();
                (name, pool.size(), pool.num_idle())
            }),
            Engine::Postgres => [("requests", &self.write), ("jobs", &self.relaxed)].map(|(name, pool)| {
                let pool = pool.postgres_pool();
                (name, pool.size(), pool.num_idle())
            }),
        }
    }

    /// Waits until the database answers again, after it was away. `false` when that will not be any more.
    pub async fn wait_for_recovery(&mut self) -> bool {
        self.returns.changed().await.is_ok()
    }

    /// Closes the connections; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.write.stop_watching();
        for pool in [&self.read, &self.relaxed, &self.write] {
            if let Err(error) = pool.pool().close_by_ref().await {
                tracing::warn!(%error, "database did not close cleanly");
            }
        }
    }
}

/// How often a transaction is tried before its conflict with others is reported.
const CONFLICT_ATTEMPTS: usize = 5;

/// Runs a whole transaction, and runs it again if PostgreSQL aborts it because of a deadlock or a serialization failure.
pub(crate) async fn retry_on_conflict<T, F: Future<Output = Result<T>>>(run: impl Fn() -> F) -> Result<T> {
    for _ in 1..CONFLICT_ATTEMPTS {
        match run().await {
            Err(error) if error.is_deadlock_or_serialization_failure() => {
                tracing::info!(error = error.chain(), "transaction aborted by a conflict; retrying")
            }
            done => return done,
        }
    }
    run().await
}

/// A statement with `$1`-style placeholders, which both engines read.
pub fn sql<I: IntoIterator<Item = Value>>(db: &impl ConnectionTrait, text: &str, values: I) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

/// The locking clause, where rows are locked one by one; a SQLite transaction holds the whole file.
pub fn row_lock<'a>(db: &impl ConnectionTrait, clause: &'a str) -> &'a str {
    if db.get_database_backend() == DbBackend::Sqlite { "" } else { clause }
}

/// Whether the error is the database refusing a row for the constraint or index that goes by `name`.
#[must_use]
pub fn violates(error: &sea_orm::DbErr, name: &str, sqlite_columns: &str) -> bool {
    let text = error.to_string();
    text.contains(name) || text.contains(sqlite_columns)
}

/// An instant as a bound value, typed so that a missing one is NULL.
pub fn at(instant: impl Into<Option<DateTime<Utc>>>) -> Value {
    Value::ChronoDateTimeUtc(instant.into())
}

/// An expression for the microseconds from 1970 to the instant in `column`: differences are exact, and local times
/// follow by adding an offset.
pub fn micros(db: &impl ConnectionTrait, column: &str) -> String {
    match db.get_database_backend() {
        // Its own time functions round to milliseconds; what follows the 19th character is `.123456+00:00` or `+00:00`.
        DbBackend::Sqlite => format!(
            "(unixepoch(substr({column}, 1, 19)) * 1000000
                + CAST(round(CAST(substr({column}, 20) AS REAL) * 1000000) AS INTEGER))"
        ),
        // A double has room for microseconds until 2100 and beyond, and is much faster than NUMERIC.
        _ => format!("CAST(date_part('epoch', {column}) * 1000000 AS BIGINT)"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Longer than it takes the watch to believe that the database is away.
    const LONG: Duration = Duration::from_millis(3_000);

    #[tokio::test]
    async fn a_long_writer_of_a_sqlite_file_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("parkade.db").display());
        let (db, other) = (Db::connect(&url, 1).await.unwrap(), Db::connect(&url, 1).await.unwrap());
        let tx = db.begin().await.unwrap();
        let migrating = tokio::spawn(async move { other.migrate().await });
        sleep(LONG).await;
        assert!(!db.write.is_well(), "nobody could be answered meanwhile");
        tx.commit().await.unwrap();
        db.begin().await.expect("the file was there all the time").rollback().await.unwrap();
        migrating.await.unwrap().unwrap();
    }
}
