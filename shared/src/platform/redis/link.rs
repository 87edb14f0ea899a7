//! Links to the logical databases of Redis servers. As soon as a server fails to respond, queries fail at once; a
//! background task looks for the server, and all links continue with new connections when it is back.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use redis::{
    Client, ErrorKind, RedisError, RedisResult, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::watch;

use super::source::Source;

/// How long a query waits for a reply before the server counts as down.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two attempts to reach a server that is down.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(200);

/// How long one attempt may take, with asking the Sentinels.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One logical database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    server: Arc<Server>,
    /// Which of the server's databases.
    index: usize,
}

/// A server with its databases that are used: if one of them is down, all are.
#[derive(Debug)]
struct Server {
    databases: Vec<Database>,
    has_come_back: AtomicBool,
    /// Why the server was last considered down.
    reason: Mutex<String>,
}

#[derive(Debug)]
struct Database {
    source: Source,
    /// `None` while the server is down. Then a new one, because late replies may still arrive on the old connection.
    connection: watch::Sender<Option<Connection>>,
}

#[derive(Clone)]
struct Connection(ConnectionManager);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Link {
    /// One link for each source. Connections are made on first use, except to servers behind Sentinels.
    ///
    /// # Errors
    /// For addresses that are not valid.
    pub(super) async fn all<const N: usize>(sources: [Source; N]) -> RedisResult<[Self; N]> {
        let addresses = sources.each_ref().map(Source::address);
        let mut databases: [Vec<Database>; N] = std::array::from_fn(|_| Vec::new());
        let mut indices = [(0, 0); N];
        for (number, source) in sources.into_iter().enumerate() {
            let server = addresses.iter().position(|address| *address == addresses[number]).unwrap_or(number);
            let connection = source.fixed_client().map(lazy_connection).transpose()?;
            indices[number] = (server, databases[server].len());
            databases[server].push(Database { source, connection: watch::Sender::new(connection) });
        }
        let servers = databases.map(|databases| Arc::new(Server::new(databases)));
        for server in &servers {
            server.connect_if_needed().await;
        }
        Ok(indices.map(|(server, index)| Self { server: servers[server].clone(), index }))
    }

    /// Runs a query, unless the server is down.
    ///
    /// # Errors
    /// Those of the query, and an input/output error while the server is down.
    pub async fn query<T, F: Future<Output = RedisResult<T>>>(
        &self,
        query: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        let result = query(self.connection()?).await;
        if let Err(error) = result.as_ref()
            && is_outage(error)
        {
            self.server.mark_down(error);
        }
        result
    }

    /// The connection, for callers that notice an outage in another way.
    ///
    /// # Errors
    /// An input/output error while the server is down.
    pub fn connection(&self) -> RedisResult<ConnectionManager> {
        let connection = self.database().connection.borrow().clone();
        connection.map(|connection| connection.0).ok_or_else(|| self.server.down_error())
    }

    /// A separate connection with its own timeout.
    ///
    /// # Errors
    /// When no Sentinel knows the server.
    pub(super) async fn separate_connection(&self, timeout: Duration) -> RedisResult<ConnectionManager> {
        ConnectionManager::new_lazy_with_config(self.client().await?, options(timeout))
    }

    /// A client for the current address of the server.
    ///
    /// # Errors
    /// When no Sentinel knows it.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        within(CONNECT_TIMEOUT, self.database().source.client()).await
    }

    /// Completes when the server has gone down and come back, counted from this call: separate connections that were made
    /// before are dead then.
    pub fn reconnected(&self) -> impl Future<Output = ()> + Send + use<> {
        let (link, mut connection) = (self.clone(), self.database().connection.subscribe());
        async move {
            // Never an error: the link owns the sender.
            let _ = connection.changed().await;
            link.wait_until_available().await;
        }
    }

    /// Waits while the server is down.
    pub async fn wait_until_available(&self) {
        let _ = self.database().connection.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn is_down(&self) -> bool {
        self.database().connection.borrow().is_none()
    }

    fn database(&self) -> &Database {
        &self.server.databases[self.index]
    }

    /// Whether the server came back since this was last called.
    pub(super) fn has_come_back(&self) -> bool {
        self.server.has_come_back.swap(false, Ordering::Relaxed)
    }
}

impl Server {
    fn new(databases: Vec<Database>) -> Self {
        Self { databases, has_come_back: AtomicBool::default(), reason: Mutex::default() }
    }

    /// Connects to a server that only Sentinels know.
    async fn connect_if_needed(self: &Arc<Self>) {
        if self.databases.iter().any(|database| database.connection.borrow().is_none())
            && let Err(error) = within(CONNECT_TIMEOUT, self.connect()).await
        {
            self.start_reconnecting(&error);
        }
    }

    fn down_error(&self) -> RedisError {
        (ErrorKind::Io, "Redis did not respond a moment ago", self.reason.lock().clone()).into()
    }

    /// Makes all queries fail at once until the server is back.
    fn mark_down(self: &Arc<Self>, reason: &RedisError) {
        let take = |database: &Database| database.connection.send_if_modified(|found| found.take().is_some());
        if self.databases.iter().filter(|database| take(database)).count() > 0 {
            self.start_reconnecting(reason);
        }
    }

    fn start_reconnecting(self: &Arc<Self>, reason: &RedisError) {
        let address = self.databases.first().map(|database| database.source.address());
        tracing::warn!(address, error = %reason, "Redis does not respond; continuing without it");
        *self.reason.lock() = reason.to_string();
        tokio::spawn(reconnect(Arc::downgrade(self)));
    }

    async fn connect(&self) -> RedisResult<()> {
        let mut connections = Vec::with_capacity(self.databases.len());
        for database in &self.databases {
            let client = database.source.client().await?;
            let mut connection =
                ConnectionManager::new_with_config(client, options(RESPONSE_TIMEOUT)).await?;
            redis::cmd("PING").exec_async(&mut connection).await?;
            connections.push(connection);
        }
        self.has_come_back.store(true, Ordering::Relaxed);
        for (database, connection) in self.databases.iter().zip(connections) {
            database.connection.send_replace(Some(Connection(connection)));
        }
        Ok(())
    }
}

/// Tries to reach the server until it is back or nobody uses it any more.
async fn reconnect(server: Weak<Server>) {
    while let Some(server) = server.upgrade() {
        if within(CONNECT_TIMEOUT, server.connect()).await.is_ok() {
            tracing::info!("Redis responds again");
            return;
        }
        drop(server);
        tokio::time::sleep(RECONNECT_INTERVAL).await;
    }
}

/// Whether an error means that the server is gone, rejects writes, or does not let us in; not that it is full or that the
/// query was wrong.
fn is_outage(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    let refuses = [BusyLoading, MasterDown, ReadOnly].map(ErrorKind::Server).contains(&error.kind())
        || error.kind() == ErrorKind::AuthenticationFailed
        || error.code() == Some("NOAUTH");
    refuses || error.is_io_error() || error.is_connection_dropped()
}

async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err((ErrorKind::Io, "Redis took too long").into());
    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
}

fn lazy_connection(client: Client) -> RedisResult<Connection> {
    ConnectionManager::new_lazy_with_config(client, options(RESPONSE_TIMEOUT)).map(Connection)
}

fn options(response_timeout: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(response_timeout))
        .set_connection_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(0)
}
