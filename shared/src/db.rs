//! The database connection and the few places where the two engines differ.

use std::{
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, SqlxPostgresConnector, Statement, TransactionOptions, TransactionTrait, Value,
    sqlx::{
        self, ConnectOptions,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use crate::error::{Error, Result};

mod engine;

pub use engine::Engine;

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
    write: DatabaseConnection,
    read: DatabaseConnection,
    relaxed: DatabaseConnection,
}

/// How often a process waits for another one that migrates, each time for [`ACQUIRE_TIMEOUT`].
const MIGRATION_TRIES: usize = 20;

/// How long a caller waits for a free connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

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

    async fn sqlite(url: &str, connections: u32) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url).context("the SQLite URL cannot be read")?;
        Self::sqlite_with(options, connections).await
    }

    /// Opens a SQLite file that is there already.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened.
    pub(crate) async fn open(file: &Path) -> Result<Self> {
        Self::sqlite_with(SqliteConnectOptions::new().filename(file), 1).await
    }

    async fn sqlite_with(options: SqliteConnectOptions, connections: u32) -> Result<Self> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        if let Some(folder) = options.get_filename().parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let write = sqlite_pool(options.clone(), 1).await?;
        let read = sqlite_pool(options.create_if_missing(false), connections).await?;
        let write: DatabaseConnection = write.into();
        Ok(Self { engine: Engine::Sqlite, relaxed: write.clone(), write, read: read.into() })
    }

    async fn postgres(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("the PostgreSQL URL cannot be read")?
            .application_name("parkade")
            // Compiling a report's statement takes longer than running it.
            .options([("timezone", "UTC"), ("lock_timeout", "3000"), ("jit", "off")])
            .disable_statement_logging();
        let relaxed = options.clone().options([("synchronous_commit", "off")]);
        let pool = postgres_pool(connections).connect_with(options).await.map_err(|error| {
            Error::Unavailable(anyhow::Error::new(error).context("cannot connect to PostgreSQL"))
        })?;
        let pool = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        let relaxed = SqlxPostgresConnector::from_sqlx_postgres_pool(
            postgres_pool(connections.div_ceil(2)).connect_lazy_with(relaxed),
        );
        Ok(Self { engine: Engine::Postgres, write: pool.clone(), read: pool, relaxed })
    }

    /// Which database this is.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The connection for statements that change something.
    #[must_use]
    pub const fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// The connection for statements that only read.
    #[must_use]
    pub const fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The connection for single statements that may be lost, with their effects, when the database server crashes:
    /// claims and ends of jobs, which are then run again.
    #[must_use]
    pub const fn relaxed(&self) -> &DatabaseConnection {
        &self.relaxed
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once: one that read first and
    /// wrote later would fail with "database is locked" in the middle.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let immediate = (self.engine == Engine::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: immediate, ..Default::default() };
        begin_to_the_end(&self.write, options).await
    }

    /// Begins a transaction that sees the data as of one instant and changes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction> {
        let level = (self.engine == Engine::Postgres).then_some(IsolationLevel::RepeatableRead);
        let options = TransactionOptions { isolation_level: level, ..Default::default() };
        begin_to_the_end(&self.read, options).await
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
                Migrator::up(&tx, None).await?;
                tx.commit().await?;
            }
            Engine::Postgres => {
                // The lock lives on a connection of its own, which the migrations do not use.
                let mut lock =
                    self.write.get_postgres_connection_pool().acquire().await.context("database")?.detach();
                sqlx::raw_sql("SET lock_timeout = 0; SELECT pg_advisory_lock(7033152)")
                    .execute(&mut lock)
                    .await
                    .context("database")?;
                let done = Migrator::up(&self.write, None).await;
                sqlx::Connection::close(lock).await.context("database")?;
                done?;
            }
        }
        Ok(())
    }

    /// Begins a transaction although another process may hold the file for longer than usual.
    async fn begin_in_turn(&self) -> Result<DatabaseTransaction> {
        for _ in 1..MIGRATION_TRIES {
            match self.begin().await {
                Err(Error::Unavailable(_)) => {}
                begun => return begun,
            }
        }
        self.begin().await
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

    /// Answers when the database does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.read.execute_unprepared("SELECT 1").await.map(drop).map_err(|e| Error::Unavailable(e.into()))
    }

    /// The pools by name, with how many connections each has, and how many of them are idle.
    #[must_use]
    pub fn pools(&self) -> [(&'static str, u32, usize); 2] {
        match self.engine {
            Engine::Sqlite => [("write", &self.write), ("read", &self.read)].map(|(name, pool)| {
                let pool = pool.get_sqlite_connection_pool();
                (name, pool.size(), pool.num_idle())
            }),
            Engine::Postgres => [("requests", &self.write), ("jobs", &self.relaxed)].map(|(name, pool)| {
                let pool = pool.get_postgres_connection_pool();
                (name, pool.size(), pool.num_idle())
            }),
        }
    }

    /// Closes the connections; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        for pool in [&self.read, &self.relaxed, &self.write] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "database did not close cleanly");
            }
        }
    }
}

fn postgres_pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
}

/// A new file becomes one with a write-ahead log, and where several processes want that at once, SQLite tells all but one
/// that it is busy without waiting; so the others try again.
async fn sqlite_pool(options: SqliteConnectOptions, connections: u32) -> Result<sqlx::SqlitePool> {
    const BUSY: &str = "5";
    let is_busy =
        |error: &sqlx::Error| error.as_database_error().is_some_and(|e| e.code().as_deref() == Some(BUSY));
    let begun = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_with(options.clone());
        match pool.await {
            Err(error) if is_busy(&error) && begun.elapsed() < ACQUIRE_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => {
                return opened.map_err(|error| {
                    Error::Unavailable(anyhow::Error::new(error).context("cannot open the SQLite database"))
                });
            }
        }
    }
}

/// How often a transaction is begun anew that PostgreSQL gave up for the sake of another one.
const MOST_VICTIMS: usize = 5;

/// Runs a whole transaction, and again while PostgreSQL ends it because of a deadlock or a conflict of snapshots.
///
/// # Errors
/// Any other error, and that of the fifth try.
pub(crate) async fn unless_a_victim<T, F: Future<Output = Result<T>>>(run: impl Fn() -> F) -> Result<T> {
    for _ in 1..MOST_VICTIMS {
        match run().await {
            Err(error) if error.is_of_a_victim() => tracing::info!(error = error.chain(), "trying again"),
            done => return done,
        }
    }
    run().await
}

/// Begins a transaction in a task of its own. When the caller is dropped meanwhile, as a cancelled job is, sqlx gives
/// the connection back to the pool with the transaction open, and what the next user writes there is never committed.
/// The task goes on, and a transaction that nobody takes is rolled back.
async fn begin_to_the_end(
    db: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction> {
    let db = db.clone();
    let begun = tokio::spawn(async move { db.begin_with_options(options).await });
    Ok(begun.await.map_err(anyhow::Error::new)??)
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
