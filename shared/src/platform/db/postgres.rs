//! Connecting to a PostgreSQL server, and connecting again when it comes back after an outage.

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, SqlxPostgresConnector,
    sqlx::{
        ConnectOptions, Connection, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};
use tokio::sync::{Mutex, watch};

use super::{
    pool::{ACQUIRE_TIMEOUT, Pool, Slot, Statements},
    watchdog::Watchdog,
};
use crate::base::error::{Error, Result};

/// Settings of every session.
const SESSION: [(&str, &str); 8] = [
    ("timezone", "UTC"),
    // The server looks for deadlocks after a second. With the time for a connection, a caller waits less than 3 seconds.
    ("lock_timeout", "1400"),
    // Compiling a report's statement takes longer than running it.
    ("jit", "off"),
    // Without statistics, as after an installation, PostgreSQL would rather collect and sort all spots of a lot than walk an
    // index until it finds a free one.
    ("enable_bitmapscan", "off"),
    // The server drops the locks of a client that vanished in the middle of a transaction, and soon its connection.
    ("idle_in_transaction_session_timeout", "5000"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// How long a caller waits for a free connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(1_300);

/// Connects with `connections` connections, and half as many in a second pool whose commits do not wait for the server's
/// disk. The receiver counts recoveries.
pub(super) async fn connect(url: &str, connections: u32) -> Result<(Pool, Pool, watch::Receiver<u64>)> {
    let options = PgConnectOptions::from_str(url)
        .context("the PostgreSQL URL is malformed")?
        .application_name("parkade")
        .options(SESSION)
        .disable_statement_logging();
    let main = pool_options(connections).connect_with(options.clone()).await.map_err(|error| {
        Error::Unavailable(anyhow::Error::new(error).context("cannot connect to PostgreSQL"))
    })?;
    let main = Reconnecting {
        slot: Slot::new(SqlxPostgresConnector::from_sqlx_postgres_pool(main)),
        options: options.clone(),
        connections,
    };
    let relaxed =
        Reconnecting::lazy(options.clone().options([("synchronous_commit", "off")]), connections.div_ceil(2));
    let slots = [&main, &relaxed].map(|pool| pool.slot.clone());
    let server = Server { options, connection: None, is_lost: false, pools: [main, relaxed] };
    let server = Arc::new(Mutex::new(server));
    let ping = move || {
        let server = server.clone();
        async move { server.lock().await.responds().await }
    };
    let (watchdog, recoveries) = Watchdog::start(ping);
    let statements = Statements::default();
    let [main, relaxed] = slots.map(|slot| Pool::of(slot, Some(watchdog.clone()), &statements));
    Ok((main, relaxed, recoveries))
}

/// The server, as the watchdog sees it.
struct Server {
    options: PgConnectOptions,
    /// A connection outside the pools: their connections may be dead without a sign of it.
    connection: Option<PgConnection>,
    /// Whether a ping has failed since the pools were made.
    is_lost: bool,
    pools: [Reconnecting; 2],
}

impl Server {
    /// Whether it responds, on its own connection and on one of the pool. May be dropped when that takes too long.
    async fn responds(&mut self) -> bool {
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.options.connect().await,
        };
        let Ok(mut connection) = connection else { return false };
        if connection.ping().await.is_err() {
            return false;
        }
        self.connection = Some(connection);
        self.is_lost = false;
        if was_lost {
            self.pools.iter().for_each(Reconnecting::replace);
        }
        self.pools[0].slot.get().execute_unprepared("SELECT 1").await.is_ok()
    }
}

/// A pool that is replaced after an outage.
struct Reconnecting {
    slot: Slot,
    options: PgConnectOptions,
    connections: u32,
}

impl Reconnecting {
    fn lazy(options: PgConnectOptions, connections: u32) -> Self {
        Self { slot: Slot::new(lazy_pool(&options, connections)), options, connections }
    }

    /// Statements on the old pool may finish in the background.
    fn replace(&self) {
        let old = self.slot.replace(lazy_pool(&self.options, self.connections));
        tokio::spawn(async move { tokio::time::timeout(ACQUIRE_TIMEOUT, old.close()).await });
    }
}

/// A pool that connects when it is used.
fn lazy_pool(options: &PgConnectOptions, connections: u32) -> DatabaseConnection {
    let pool = pool_options(connections).connect_lazy_with(options.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECTION_TIMEOUT)
        .test_before_acquire(false)
}
