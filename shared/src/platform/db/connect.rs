//! How the pools are made, and made anew when the database comes back.

use std::{
    path::Path,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, SqlxPostgresConnector, TransactionOptions, TransactionTrait,
    sqlx::{
        self, ConnectOptions, Connection, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{ACQUIRE_TIMEOUT, Db, Engine, IMMEDIATE, Pool, watch::Watch};
use crate::base::error::{Error, Result};

/// What the server shall know of us.
const SESSION: [(&str, &str); 7] = [
    ("timezone", "UTC"),
    // The server looks for deadlocks after a second. Who waited for a connection as well has not waited for three seconds.
    ("lock_timeout", "1400"),
    // Compiling a report's statement takes longer than running it.
    ("jit", "off"),
    // Of whom it has lost sight in the middle, it keeps no locks, and soon no connection.
    ("idle_in_transaction_session_timeout", "5000"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

impl Db {
    pub(super) async fn sqlite(url: &str, connections: u32) -> Result<Self> {
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
        // Another process may hold the file; then only writers wait.
        let file = write.clone();
        let ping = move || {
            let file = file.clone();
            async move {
                let options = TransactionOptions { sqlite_transaction_mode: IMMEDIATE, ..Default::default() };
                let begun = tokio::spawn(async move { file.begin_with_options(options).await });
                match begun.await {
                    Ok(Ok(tx)) => tx.rollback().await.is_ok(),
                    _ => false,
                }
            }
        };
        let (back, returns) = tokio::sync::watch::channel(0);
        let watch = Watch::start(ping, move || back.send_modify(|times| *times += 1));
        let write = Pool::new(Arc::new(RwLock::new(write)), Some(watch));
        let read = Pool::new(Arc::new(RwLock::new(read.into())), None);
        Ok(Self { engine: Engine::Sqlite, relaxed: write.clone(), write, read, returns })
    }

    pub(super) async fn postgres(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("the PostgreSQL URL cannot be read")?
            .application_name("parkade")
            .options(SESSION)
            .disable_statement_logging();
        let first = postgres_pool(connections).connect_with(options.clone()).await.map_err(|error| {
            Error::Unavailable(anyhow::Error::new(error).context("cannot connect to PostgreSQL"))
        })?;
        let pool: DatabaseConnection = SqlxPostgresConnector::from_sqlx_postgres_pool(first);
        let relaxed = options.clone().options([("synchronous_commit", "off")]);
        let relaxed = Renewable::of(&relaxed, connections.div_ceil(2), None);
        let pool = Renewable::of(&options, connections, Some(pool));
        let places = [&pool, &relaxed].map(|pool| pool.place.clone());
        let server = Server { options, own: None, is_lost: false, pools: [pool, relaxed] };
        let server = Arc::new(tokio::sync::Mutex::new(server));
        let ping = move || {
            let server = server.clone();
            async move { server.lock().await.answers().await }
        };
        let (back, returns) = tokio::sync::watch::channel(0);
        let watch = Watch::start(ping, move || back.send_modify(|times| *times += 1));
        let [pool, relaxed] = places.map(|place| Pool::new(place, Some(watch.clone())));
        Ok(Self { engine: Engine::Postgres, write: pool.clone(), read: pool, relaxed, returns })
    }
}

/// A PostgreSQL server, as the watch sees it.
struct Server {
    options: PgConnectOptions,
    /// A connection of its own: those of a pool may be dead without knowing.
    own: Option<PgConnection>,
    /// Whether it left a question unanswered since the pools were made.
    is_lost: bool,
    pools: [Renewable; 2],
}

impl Server {
    /// Whether it answers, on its own connection and on one of the pool. May be dropped when that takes too long.
    async fn answers(&mut self) -> bool {
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        let connection = match self.own.take() {
            Some(connection) => Ok(connection),
            None => self.options.connect().await,
        };
        let Ok(mut connection) = connection else { return false };
        if connection.ping().await.is_err() {
            return false;
        }
        self.own = Some(connection);
        self.is_lost = false;
        if was_lost {
            self.pools.iter().for_each(Renewable::renew);
        }
        self.pools[0].now().execute_unprepared("SELECT 1").await.is_ok()
    }
}

/// A pool that can be made anew in its place.
struct Renewable {
    options: PgConnectOptions,
    connections: u32,
    place: Arc<RwLock<DatabaseConnection>>,
}

impl Renewable {
    fn of(options: &PgConnectOptions, connections: u32, first: Option<DatabaseConnection>) -> Self {
        let pool = first.unwrap_or_else(|| lazy(options, connections));
        Self { options: options.clone(), connections, place: Arc::new(RwLock::new(pool)) }
    }

    fn now(&self) -> DatabaseConnection {
        self.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who uses the old one goes on; nobody is waited for.
    fn renew(&self) {
        let pool = lazy(&self.options, self.connections);
        let old = std::mem::replace(&mut *self.place.write().unwrap_or_else(PoisonError::into_inner), pool);
        tokio::spawn(async move { tokio::time::timeout(ACQUIRE_TIMEOUT, old.close()).await });
    }
}

/// A pool that connects when it is used.
fn lazy(options: &PgConnectOptions, connections: u32) -> DatabaseConnection {
    let pool = postgres_pool(connections).connect_lazy_with(options.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

fn postgres_pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_millis(1_300))
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
