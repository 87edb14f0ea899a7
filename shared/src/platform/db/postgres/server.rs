//! The server as the watchdog sees it: one of several hosts, found again after an outage.

use std::{io, sync::Arc, time::Duration};

use sea_orm::{
    DatabaseConnection, SqlxPostgresConnector,
    sqlx::{
        ConnectOptions, Error as SqlxError, Executor, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};
use tokio::sync::{Mutex, watch};

use super::{
    hosts,
    session::{self, Sessions, require_writable},
};
use crate::{
    base::error::{Error, Result},
    platform::db::{
        pool::{ACQUIRE_TIMEOUT, Pool, Slot, Statements},
        watchdog::Watchdog,
    },
};

/// How long a caller waits for a free connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(1_300);

/// How long one host may take to let us in when a process starts. Later the watchdog is stricter.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The pools of a server.
pub(in crate::platform::db) struct Connected {
    pub(in crate::platform::db) main: Pool,
    /// Its commits do not wait for the server's disk.
    pub(in crate::platform::db) relaxed: Pool,
    /// Counts recoveries.
    pub(in crate::platform::db) recoveries: watch::Receiver<u64>,
}

/// Connects with `connections` connections, and half as many in a second pool.
pub(in crate::platform::db) async fn connect(url: &str, connections: u32) -> Result<Connected> {
    let mut hosts = Hosts::of(url)?;
    let (connection, options) = hosts.connect_first().await.map_err(unreachable)?;
    let sessions = hosts.sessions;
    let main = Reconnecting::new(&options, connections);
    let relaxed = Reconnecting::new(&sessions.relaxed(&options), connections.div_ceil(2));
    let slots = [&main, &relaxed].map(|pool| pool.slot.clone());
    let (connection, pools) = (Some(connection), [main, relaxed]);
    let server = Server { hosts, options, connection, is_lost: false, pools };
    let server = Arc::new(Mutex::new(server));
    let ping = move || {
        let server = server.clone();
        async move { server.lock().await.check().await.map_err(|error| error.to_string()) }
    };
    let (watchdog, recoveries) = Watchdog::start(ping);
    let [main, relaxed] = slots;
    let [of_main, of_relaxed] = sessions.preludes();
    let statements = Statements::default();
    Ok(Connected {
        main: Pool::of(main, Some(watchdog.clone()), &statements).with_prelude(of_main),
        relaxed: Pool::of(relaxed, Some(watchdog), &statements).with_prelude(of_relaxed),
        recoveries,
    })
}

/// One connection, outside all pools.
pub(in crate::platform::db) async fn connect_once(url: &str) -> Result<PgConnection> {
    Ok(Hosts::of(url)?.connect_first().await.map_err(unreachable)?.0)
}

/// Names each host with what is wrong. The cause is the problem of the last one, which tells whether retrying may help.
fn unreachable(mut problems: Vec<(String, SqlxError)>) -> Error {
    let Some((last, cause)) = problems.pop() else {
        return Error::Internal(anyhow::anyhow!("DATABASE_URL names no host"));
    };
    let others: String = problems.iter().map(|(host, problem)| format!("{host}: {problem}; ")).collect();
    Error::Unavailable(
        anyhow::Error::new(cause).context(format!("cannot connect to PostgreSQL at {others}{last}")),
    )
}

/// The hosts of the URL, of which one is used at a time.
struct Hosts {
    all: Vec<PgConnectOptions>,
    /// The one to try next.
    next: usize,
    sessions: Sessions,
}

impl Hosts {
    fn of(url: &str) -> Result<Self> {
        let all = hosts::parse(url).map_err(|why| anyhow::anyhow!("DATABASE_URL {why}"))?;
        let all = all.into_iter().map(ConnectOptions::disable_statement_logging).collect();
        Ok(Self { all, next: 0, sessions: Sessions::Own })
    }

    /// Connects to the first host that can be written to, and finds out whether sessions are shared.
    async fn connect_first(&mut self) -> Result<(PgConnection, PgConnectOptions), Vec<(String, SqlxError)>> {
        let mut problems = Vec::new();
        for _ in 0..self.all.len() {
            let name = self.name();
            let connecting = tokio::time::timeout(START_TIMEOUT, self.connect_and_learn());
            match connecting.await.unwrap_or_else(|_| Err(SqlxError::Io(io::ErrorKind::TimedOut.into()))) {
                Ok(connected) => return Ok(connected),
                Err(problem) => problems.push((name, problem)),
            }
        }
        Err(problems)
    }

    async fn connect_and_learn(&mut self) -> Result<(PgConnection, PgConnectOptions), SqlxError> {
        let host = self.next;
        match self.connect().await {
            Err(error) if session::refuses_options(&error) => self.sessions = Sessions::Shared,
            Err(error) => return Err(error),
            Ok((mut connection, options)) => {
                if session::is_own(&mut connection).await? {
                    return Ok((connection, options));
                }
                self.sessions = Sessions::Shared;
            }
        }
        tracing::info!(
            "DATABASE_URL leads to a pooler that shares sessions; each statement is a transaction"
        );
        self.next = host;
        self.connect().await
    }

    /// Connects to the next host, which must be writable. If this fails or is dropped, the one after it is next.
    async fn connect(&mut self) -> Result<(PgConnection, PgConnectOptions), SqlxError> {
        let host = self.next;
        self.next = (host + 1) % self.all.len();
        let options = self.sessions.options(&self.all[host]);
        let mut connection = options.connect().await?;
        require_writable(&mut connection).await?;
        self.next = host;
        Ok((connection, options))
    }

    fn name(&self) -> String {
        let host = &self.all[self.next];
        format!("{}:{}", host.get_host(), host.get_port())
    }
}

/// The server, as the watchdog sees it.
struct Server {
    hosts: Hosts,
    /// Those of the host in use.
    options: PgConnectOptions,
    /// A connection outside the pools: their connections may be dead without a sign of it.
    connection: Option<PgConnection>,
    /// Whether a ping has failed since the pools were made.
    is_lost: bool,
    pools: [Reconnecting; 2],
}

impl Server {
    /// Whether a server can be written to, on its own connection and on a free one of the pool. May be dropped when that
    /// takes too long.
    async fn check(&mut self) -> Result<(), SqlxError> {
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        let connection = match self.connection.take() {
            Some(mut connection) => {
                require_writable(&mut connection).await?;
                connection
            }
            None => {
                let (connection, options) = self.hosts.connect().await?;
                self.options = options;
                connection
            }
        };
        self.connection = Some(connection);
        if was_lost {
            let [main, relaxed] = &self.pools;
            main.replace(&self.options);
            relaxed.replace(&self.hosts.sessions.relaxed(&self.options));
        }
        self.pools[0].ping_idle().await?;
        self.is_lost = false;
        Ok(())
    }
}

/// A pool that is replaced after an outage.
struct Reconnecting {
    slot: Slot,
    connections: u32,
}

impl Reconnecting {
    fn new(options: &PgConnectOptions, connections: u32) -> Self {
        Self { slot: Slot::new(lazy_pool(options, connections)), connections }
    }

    /// Statements on the old pool may finish in the background.
    fn replace(&self, options: &PgConnectOptions) {
        let old = self.slot.replace(lazy_pool(options, self.connections));
        tokio::spawn(async move { tokio::time::timeout(ACQUIRE_TIMEOUT, old.close()).await });
    }

    /// Pings a connection that nobody uses. If all are in use, the server is busy, not away.
    async fn ping_idle(&self) -> Result<(), SqlxError> {
        let pool = self.slot.get().get_postgres_connection_pool().clone();
        match pool.try_acquire() {
            Some(mut connection) => connection.execute("SELECT 1").await.map(drop),
            None => Ok(()),
        }
    }
}

/// A pool that connects when it is used, and only to a server that can be written to: behind one name there may be several.
fn lazy_pool(options: &PgConnectOptions, connections: u32) -> DatabaseConnection {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECTION_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(require_writable(connection)))
        .connect_lazy_with(options.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}
