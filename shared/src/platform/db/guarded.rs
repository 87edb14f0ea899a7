//! Connections and transactions whose statements are given up when the database has gone away.

use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionOptions, TransactionTrait,
    sqlx::{PgPool, SqlitePool},
};

use super::watch::Watch;
use crate::base::error::Result;

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Another one, once the database has been away: its connections may be dead without knowing.
    pool: Arc<RwLock<DatabaseConnection>>,
    watch: Option<Arc<Watch>>,
}

/// A transaction; rolled back when it is dropped.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    /// Gives its statements up.
    watch: Option<Arc<Watch>>,
    /// Hears that the file was there all the time, if this is one that writes to SQLite: nobody could be answered meanwhile.
    holds_up: Option<Arc<Watch>>,
}

impl Pool {
    /// Without a watch, everybody waits for as long as it takes.
    pub(super) fn new(pool: Arc<RwLock<DatabaseConnection>>, watch: Option<Arc<Watch>>) -> Self {
        Self { pool, watch }
    }

    /// The pool as it is now; its users are not guarded.
    #[must_use]
    pub fn pool(&self) -> DatabaseConnection {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same connections for somebody who waits for as long as it takes.
    pub(super) fn patiently(&self) -> Self {
        Self::new(self.pool.clone(), None)
    }

    pub(super) fn is_well(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.is_well())
    }

    pub(super) fn stop_watching(&self) {
        if let Some(watch) = &self.watch {
            watch.stop();
        }
    }

    /// The pool of the driver, for what the ORM does not offer; its users are not guarded.
    pub(crate) fn postgres_pool(&self) -> PgPool {
        self.pool().get_postgres_connection_pool().clone()
    }

    /// The same of SQLite.
    pub(crate) fn sqlite_pool(&self) -> SqlitePool {
        self.pool().get_sqlite_connection_pool().clone()
    }

    /// What the database answers, unless it goes away meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] then, else those of the question.
    pub async fn fail_fast<T, E: From<DbErr>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.watch.as_deref() {
            // A file does not vanish in the middle, and the one connection that writes keeps the watch waiting.
            Some(watch) if self.get_database_backend() == DbBackend::Sqlite => watch.unless_away(asked).await,
            watch => guard(watch, asked).await,
        }
    }

    /// Begins a transaction in a task of its own. When the caller is dropped meanwhile, as a cancelled job is, sqlx gives
    /// the connection back to the pool with the transaction open, and what the next user writes there is never committed.
    /// The task goes on, and a transaction that nobody takes is rolled back.
    pub(super) async fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        let pool = self.pool();
        let begun = tokio::spawn(async move { pool.begin_with_options(options).await });
        let begun = async { Ok(begun.await.map_err(anyhow::Error::new)??) };
        let inner = guard::<_, crate::Error>(self.watch.as_deref(), begun).await?;
        // On SQLite, whoever writes has the file, and nothing comes between it and the end of the transaction.
        let (watch, holds_up) = match inner.get_database_backend() {
            DbBackend::Sqlite => (None, self.watch.clone()),
            _ => (self.watch.clone(), None),
        };
        Ok(Transaction { inner, watch, holds_up })
    }
}

impl Transaction {
    /// For migrations, which may take their time.
    pub(super) const fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Makes it last.
    ///
    /// # Errors
    /// Those of the database. When it went away, nobody knows whether it lasts.
    pub async fn commit(self) -> Result<(), DbErr> {
        guard(self.watch.as_deref(), self.inner.commit()).await?;
        if let Some(watch) = self.holds_up {
            watch.answered();
        }
        Ok(())
    }

    /// Undoes it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rollback(self) -> Result<(), DbErr> {
        guard(self.watch.as_deref(), self.inner.rollback()).await
    }
}

async fn guard<T, E: From<DbErr>>(
    watch: Option<&Watch>,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match watch {
        Some(watch) => watch.unless_lost(asked).await,
        None => asked.await,
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.pool().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.fail_fast(self.pool().execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        self.fail_fast(self.pool().execute_unprepared(text)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.fail_fast(self.pool().query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.fail_fast(self.pool().query_all_raw(statement)).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        guard(self.watch.as_deref(), self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        guard(self.watch.as_deref(), self.inner.execute_unprepared(text)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        guard(self.watch.as_deref(), self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        guard(self.watch.as_deref(), self.inner.query_all_raw(statement)).await
    }
}
