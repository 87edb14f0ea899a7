//! Connections and transactions whose statements fail as soon as the database is known to be down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait,
    sqlx::{PgPool, SqlitePool},
};
use tokio::task::JoinError;

use super::{wal::WriteAheadLog, watchdog::Watchdog};
use crate::base::error::Result;

/// How long a caller waits for a free connection before its statement fails.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a pool is, so that it can be replaced while others use it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slot(Arc<RwLock<DatabaseConnection>>);

impl Slot {
    pub(super) fn new(pool: DatabaseConnection) -> Self {
        Self(Arc::new(RwLock::new(pool)))
    }

    pub(super) fn get(&self) -> DatabaseConnection {
        self.0.read().clone()
    }

    pub(super) fn replace(&self, pool: DatabaseConnection) -> DatabaseConnection {
        std::mem::replace(&mut *self.0.write(), pool)
    }
}

/// Counts statements, with BEGIN and COMMIT: each is a round trip. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Statements(Arc<AtomicU64>);

impl Statements {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    slot: Slot,
    pub(super) watchdog: Option<Arc<Watchdog>>,
    /// What a transaction begins with where sessions are shared. There, single statements become transactions, too.
    prelude: Option<&'static [&'static str]>,
    statements: Statements,
    /// Set if what is committed has still to be written to the disk.
    pub(super) log: Option<WriteAheadLog>,
}

/// A transaction; rolled back when it is dropped.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    /// Makes its statements fail during an outage.
    watchdog: Option<Arc<Watchdog>>,
    /// Set for a transaction that writes to SQLite: pings had to wait for it, so its commit proves that the file was
    /// available all the time.
    blocks: Option<Arc<Watchdog>>,
    statements: Statements,
    log: Option<WriteAheadLog>,
}

impl Pool {
    /// Without a watchdog, callers wait for as long as it takes.
    pub(super) fn new(
        pool: DatabaseConnection,
        watchdog: Option<Arc<Watchdog>>,
        statements: &Statements,
    ) -> Self {
        Self::of(Slot::new(pool), watchdog, statements)
    }

    pub(super) fn of(slot: Slot, watchdog: Option<Arc<Watchdog>>, statements: &Statements) -> Self {
        Self { slot, watchdog, prelude: None, statements: statements.clone(), log: None }
    }

    pub(super) const fn with_prelude(mut self, prelude: Option<&'static [&'static str]>) -> Self {
        self.prelude = prelude;
        self
    }

    /// The same connections, for statements that are on the disk when they return.
    pub(super) fn with_log(&self, log: WriteAheadLog) -> Self {
        Self { log: Some(log), ..self.clone() }
    }

    pub(super) const fn statements(&self) -> &Statements {
        &self.statements
    }

    /// The current pool. Its statements do not fail early.
    #[must_use]
    pub fn pool(&self) -> DatabaseConnection {
        self.slot.get()
    }

    /// The same connections for a caller that waits for as long as it takes.
    pub(super) fn without_watchdog(&self) -> Self {
        Self { watchdog: None, ..self.clone() }
    }

    pub(super) fn is_responsive(&self) -> bool {
        self.watchdog.as_ref().is_none_or(|watchdog| watchdog.is_responsive())
    }

    pub(super) fn stop_watchdog(&self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.stop();
        }
    }

    /// The driver's pool, for what the ORM does not offer. Its statements do not fail early.
    pub(crate) fn postgres_pool(&self) -> PgPool {
        self.pool().get_postgres_connection_pool().clone()
    }

    /// The driver's pool on SQLite.
    pub(crate) fn sqlite_pool(&self) -> SqlitePool {
        self.pool().get_sqlite_connection_pool().clone()
    }

    /// Runs a statement, but fails as soon as the database is known to be down.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] in that case, else those of the statement.
    pub async fn fail_fast<T, E: From<DbErr>>(
        &self,
        statement: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        fail_fast(self.watchdog.as_deref(), statement).await
    }

    /// Begins a transaction in its own task. If the caller were dropped while it begins, as a cancelled job is, sqlx would
    /// return the connection to the pool with the transaction open, and what the next user writes there would never be
    /// committed. The task continues, and an unused transaction is rolled back.
    pub(super) async fn begin(&self, options: TransactionOptions) -> Result<Transaction, DbErr> {
        let (pool, prelude) = (self.pool(), self.prelude.unwrap_or_default());
        self.statements.count();
        let begin = tokio::spawn(async move {
            let inner = pool.begin_with_options(options).await?;
            for text in prelude {
                inner.execute_unprepared(text).await?;
            }
            Ok::<_, DbErr>(inner)
        });
        let aborted = |error: JoinError| DbErr::Conn(RuntimeErr::Internal(error.to_string()));
        let inner = self.fail_fast(async { begin.await.map_err(aborted)? }).await?;
        // A writer owns the SQLite file, and nothing comes between it and the end of its transaction.
        let (watchdog, blocks) = match inner.get_database_backend() {
            DbBackend::Sqlite => (None, self.watchdog.clone()),
            _ => (self.watchdog.clone(), None),
        };
        Ok(Transaction {
            inner,
            watchdog,
            blocks,
            statements: self.statements.clone(),
            log: self.log.clone(),
        })
    }

    async fn run<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.statements.count();
        let result = self.fail_fast(statement).await?;
        write_log(self.log.as_ref()).await?;
        Ok(result)
    }

    /// The transaction for a single statement, if it needs one.
    async fn begin_if_shared(&self) -> Result<Option<Transaction>, DbErr> {
        match self.prelude {
            Some(_) => self.begin(TransactionOptions::default()).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Transaction {
    /// For migrations, which may take long.
    pub(super) const fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Commits. If this fails because the database went down, the transaction may have been committed or not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.statements.count();
        fail_fast(self.watchdog.as_deref(), self.inner.commit()).await?;
        if let Some(watchdog) = self.blocks {
            watchdog.ping_succeeded();
        }
        write_log(self.log.as_ref()).await
    }

    /// Rolls back now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.statements.count();
        fail_fast(self.watchdog.as_deref(), self.inner.rollback()).await
    }

    async fn run<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.statements.count();
        fail_fast(self.watchdog.as_deref(), statement).await
    }
}

async fn write_log(log: Option<&WriteAheadLog>) -> Result<(), DbErr> {
    match log {
        Some(log) => log.write().await,
        None => Ok(()),
    }
}

async fn fail_fast<T, E: From<DbErr>>(
    watchdog: Option<&Watchdog>,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match watchdog {
        Some(watchdog) => watchdog.fail_fast(statement).await,
        None => statement.await,
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.pool().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let Some(tx) = self.begin_if_shared().await? else {
            return self.run(self.pool().execute_raw(statement)).await;
        };
        let done = tx.execute_raw(statement).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        self.run(self.pool().execute_unprepared(text)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let Some(tx) = self.begin_if_shared().await? else {
            return self.run(self.pool().query_one_raw(statement)).await;
        };
        let done = tx.query_one_raw(statement).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let Some(tx) = self.begin_if_shared().await? else {
            return self.run(self.pool().query_all_raw(statement)).await;
        };
        let done = tx.query_all_raw(statement).await?;
        tx.commit().await?;
        Ok(done)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        self.run(self.inner.execute_unprepared(text)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(self.inner.query_all_raw(statement)).await
    }
}
