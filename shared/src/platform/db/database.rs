//! The database of the application: its pools, transactions and migrations.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTraitSelf, REPORTS, Report};
use sea_orm::{
    ConnectionTrait, IsolationLevel, TransactionOptions,
    sqlx::{self, sqlite::SqliteConnectOptions},
};
use tokio::sync::watch;

use super::{
    engine::Engine,
    pool::{Pool, Transaction},
    postgres,
    sql::sql,
    sqlite,
};
use crate::base::error::{Error, Result};

/// How often a process waits for another one that migrates, each time for as long as for the file lock.
const MIGRATION_ATTEMPTS: usize = 3;

/// The number of the lock that a PostgreSQL server gives to one migrating process. Earlier releases use it, too.
const MIGRATION_LOCK: i64 = 7_033_152;

/// How long the end of the process waits for statements.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to the database. Cheap to clone.
///
/// SQLite has one writer: a pool of one connection queues writes in this process, where waiting is fair and
/// cheap, and readers have their own connections. On PostgreSQL both are the same pool.
///
/// Writes that can be repeated after a crash of the machine need not wait for its disk. PostgreSQL has a second pool for
/// them, SQLite another handle on the one connection that writes.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
    write: Pool,
    read: Pool,
    relaxed: Pool,
    recoveries: watch::Receiver<u64>,
}

/// The names of the migrations that have not been applied.
async fn pending(migrator: &Migrator, db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let pending = migrator.get_pending_migrations(db).await?;
    Ok(pending.iter().map(|migration| migration.name().to_owned()).collect())
}

impl Db {
    /// Connects to `sqlite://path` or `postgres://…` with at most `connections` connections.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached, [`Error::Internal`] for a malformed URL.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            return Self::sqlite(sqlite::parse(url)?, connections, url.contains("mode=rwc")).await;
        }
        let postgres::Connected { main, relaxed, recoveries } = postgres::connect(url, connections).await?;
        Ok(Self { engine: Engine::Postgres, write: main.clone(), read: main, relaxed, recoveries })
    }

    /// Opens an existing SQLite file.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened.
    pub(crate) async fn open(file: &Path) -> Result<Self> {
        Self::sqlite(SqliteConnectOptions::new().filename(file), 1, false).await
    }

    async fn sqlite(options: SqliteConnectOptions, readers: u32, may_create: bool) -> Result<Self> {
        let (relaxed, log, read, recoveries) = sqlite::connect(options, readers, may_create).await?;
        Ok(Self { engine: Engine::Sqlite, write: relaxed.with_log(log), relaxed, read, recoveries })
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// For statements that write.
    #[must_use]
    pub const fn write(&self) -> &Pool {
        &self.write
    }

    /// For statements that only read.
    #[must_use]
    pub const fn read(&self) -> &Pool {
        &self.read
    }

    /// For single statements whose effects may be lost when the database server crashes: claims and ends of jobs, which
    /// are then run again.
    #[must_use]
    pub const fn relaxed(&self) -> &Pool {
        &self.relaxed
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let options = match self.engine {
            Engine::Sqlite => sqlite::write_transaction(),
            Engine::Postgres => TransactionOptions::default(),
        };
        Ok(self.write.begin(options).await?)
    }

    /// Begins a read-only transaction that sees one snapshot of the data.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is free in time.
    pub async fn snapshot(&self) -> Result<Transaction> {
        let isolation_level = (self.engine == Engine::Postgres).then_some(IsolationLevel::RepeatableRead);
        Ok(self.read.begin(TransactionOptions { isolation_level, ..Default::default() }).await?)
    }

    /// Brings the schema up to date. Of several processes that start at once, one does it and the others wait.
    ///
    /// # Errors
    /// The first migration that fails. PostgreSQL keeps those before it, SQLite none of them.
    pub async fn migrate(&self, settings: migration::Settings) -> Result<()> {
        let applied = self.apply_pending(&Migrator(settings)).await?;
        for report in REPORTS.iter().filter(|report| applied.iter().any(|name| name == report.migration)) {
            if let Some(what) = self.report(report).await? {
                tracing::warn!(migration = report.migration, "{what}; {}", report.advice);
            }
        }
        Ok(())
    }

    /// Returns the names of the migrations that this process applied. On PostgreSQL each has its own transaction, because
    /// locks on tables delay the processes that still run; on SQLite, others cannot write in between anyway.
    async fn apply_pending(&self, migrator: &Migrator) -> Result<Vec<String>> {
        let steps = (self.engine == Engine::Postgres).then_some(1);
        let mut applied = Vec::new();
        loop {
            let tx = self.begin_migration().await?;
            let pending = pending(migrator, tx.inner()).await?;
            let count = steps.map_or(pending.len(), |_| pending.len().min(1));
            if count > 0 {
                migrator.up(tx.inner(), steps).await?;
            }
            tx.commit().await?;
            applied.extend(pending.iter().take(count).cloned());
            if pending.len() == count {
                return Ok(applied);
            }
        }
    }

    /// Begins a transaction that no other process that migrates has. On SQLite every transaction that writes is one. The
    /// lock of PostgreSQL belongs to the transaction, since a pooler may lend its session to others afterwards.
    async fn begin_migration(&self) -> Result<Transaction> {
        let tx = self.begin_after_others().await?;
        if self.engine == Engine::Postgres {
            let text = format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK}) AS is_free");
            let row = tx.query_one_raw(sql(&tx, &text, [])).await?;
            if !row.map(|row| row.try_get("", "is_free")).transpose()?.unwrap_or(false) {
                tracing::info!("waiting for another process that migrates the schema");
                tx.execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK});
                     SET LOCAL lock_timeout = {}",
                    postgres::LOCK_TIMEOUT
                ))
                .await?;
            }
        }
        Ok(tx)
    }

    /// What a migration left for operators to look at, in one line; `None` if there is nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn report(&self, report: &Report) -> Result<Option<String>> {
        let rows = self.read.query_all_raw(sql(&self.read, report.query, [])).await?;
        let lines = rows.iter().map(|row| row.try_get("", "line")).collect::<Result<Vec<String>, _>>()?;
        let Some(first) = rows.first() else { return Ok(None) };
        let total: i64 = first.try_get("", "total")?;
        Ok(Some(format!("{total} {}, such as: {}", report.what, lines.join("; "))))
    }

    /// Begins a transaction for a migration, although another process may hold the file of SQLite for longer than usual.
    pub(crate) async fn begin_after_others(&self) -> Result<Transaction> {
        let pool = self.write.without_watchdog();
        let Engine::Sqlite = self.engine else { return Ok(pool.begin(TransactionOptions::default()).await?) };
        for _ in 1..MIGRATION_ATTEMPTS {
            match pool.begin(sqlite::write_transaction()).await.map_err(Error::from) {
                Err(Error::Unavailable(_)) => {}
                done => return done,
            }
        }
        Ok(pool.begin(sqlite::write_transaction()).await?)
    }

    /// The time of the server; `None` for a file.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn server_time(&self) -> Result<Option<DateTime<Utc>>> {
        let Engine::Postgres = self.engine else { return Ok(None) };
        let row = self.read.query_one_raw(sql(&self.read, "SELECT clock_timestamp() AS now", [])).await?;
        Ok(row.map(|row| row.try_get("", "now")).transpose()?)
    }

    /// One connection to the PostgreSQL server of a URL, outside all pools.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no host can be reached.
    pub(crate) async fn connect_once(url: &str) -> Result<sqlx::PgConnection> {
        postgres::connect_once(url).await
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

    /// Whether the database responds, now and to the last ping, which is at most a second ago.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        if !self.write.is_responsive() {
            return Err(Error::Unavailable(anyhow::anyhow!("the database is not available")));
        }
        self.read.execute_unprepared("SELECT 1").await.map(drop).map_err(|e| Error::Unavailable(e.into()))
    }

    /// How many statements were sent to the database so far, with BEGIN and COMMIT.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.write.statements().total()
    }

    /// The pools by name, with their numbers of connections and of idle ones.
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

    /// Waits until the database responds again after an outage. `false` when its connections have been dropped.
    pub async fn wait_for_recovery(&mut self) -> bool {
        self.recoveries.changed().await.is_ok()
    }

    /// Closes the connections; SQLite merges its write-ahead log into the file.
    pub async fn close(&self) {
        self.write.stop_watchdog();
        for pool in [&self.read, &self.relaxed, &self.write] {
            // A write may still wait for the lock of the SQLite file.
            match tokio::time::timeout(CLOSE_TIMEOUT, pool.pool().close_by_ref()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the database did not close cleanly"),
                Err(_) => tracing::warn!("the database did not close in time"),
            }
        }
    }
}
