//! The way to a logical database of Redis. When a server fails to answer, nobody waits for it any more; somebody looks for
//! it in the background, and everybody goes on with new connections once it is found.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, ErrorKind, RedisError, RedisResult, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::watch;

use super::source::Source;

/// A request waits no longer than this for Redis; whatever it wanted is then had without.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two looks for a server that is away.
const PAUSE: Duration = Duration::from_millis(200);

/// One look takes no longer; Sentinels are asked and then the server.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// One logical database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    server: Arc<Server>,
    /// Which of the server's.
    index: usize,
}

/// A server with the databases that are used of it: if one of them is away, all are.
#[derive(Debug)]
struct Server {
    databases: Vec<Database>,
    has_come_back: AtomicBool,
    /// Why it was given up when it was last there.
    reason: Mutex<String>,
}

#[derive(Debug)]
struct Database {
    source: Source,
    /// `None` while the server is away. Replaced after that: answers to what timed out may still come on the old one.
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
    /// Links in the order of the sources. Connections are made on first use, but for servers that Sentinels know.
    ///
    /// # Errors
    /// For addresses that cannot be.
    pub(super) async fn all<const N: usize>(sources: [Source; N]) -> RedisResult<[Self; N]> {
        let places = sources.each_ref().map(Source::place);
        let mut databases: [Vec<Database>; N] = std::array::from_fn(|_| Vec::new());
        let mut indices = [(0, 0); N];
        for (number, source) in sources.into_iter().enumerate() {
            let server = places.iter().position(|place| *place == places[number]).unwrap_or(number);
            let connection = source.at_once().map(lazy).transpose()?;
            indices[number] = (server, databases[server].len());
            databases[server].push(Database { source, connection: watch::Sender::new(connection) });
        }
        let servers = databases.map(|databases| Arc::new(Server::of(databases)));
        for server in &servers {
            server.find_first().await;
        }
        Ok(indices.map(|(server, index)| Self { server: servers[server].clone(), index }))
    }

    /// Asks, unless the server is away.
    ///
    /// # Errors
    /// Those of the question, and an input/output error while the server is away.
    pub async fn query<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        let answer = question(self.connection()?).await;
        if let Err(error) = answer.as_ref()
            && is_away(error)
        {
            self.server.lost(error);
        }
        answer
    }

    /// The connection, for those who see by other means that the server is away.
    ///
    /// # Errors
    /// An input/output error while the server is away.
    pub fn connection(&self) -> RedisResult<ConnectionManager> {
        let connection = self.database().connection.borrow().clone();
        connection.map(|connection| connection.0).ok_or_else(|| self.server.refusal())
    }

    /// A connection of its own, made now, that is as patient as its user.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) async fn own(&self, patience: Duration) -> RedisResult<ConnectionManager> {
        ConnectionManager::new_lazy_with_config(self.client().await?, settings(patience))
    }

    /// The server, as it is to be reached now.
    ///
    /// # Errors
    /// When no Sentinel knows.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        within(LOOK_TIMEOUT, self.database().source.client()).await
    }

    /// Waits until the server was away and is back, counted from this call: other connections that were made before
    /// are of no use then.
    pub fn reconnected(&self) -> impl Future<Output = ()> + Send + use<> {
        let (link, mut connection) = (self.clone(), self.database().connection.subscribe());
        async move {
            // The link is the sender, so there is no end of it.
            let _ = connection.changed().await;
            link.wait_until_available().await;
        }
    }

    /// Waits until the server is not away any more.
    pub async fn wait_until_available(&self) {
        let _ = self.database().connection.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether the server is away.
    pub(super) fn is_away(&self) -> bool {
        self.database().connection.borrow().is_none()
    }

    fn database(&self) -> &Database {
        &self.server.databases[self.index]
    }

    /// Whether the server was away since this was last asked: it may have lost its latest writes.
    pub(super) fn has_come_back(&self) -> bool {
        self.server.has_come_back.swap(false, Ordering::Relaxed)
    }
}

impl Server {
    fn of(databases: Vec<Database>) -> Self {
        Self { databases, has_come_back: AtomicBool::default(), reason: Mutex::default() }
    }

    /// Looks once for a server that only others know.
    async fn find_first(self: &Arc<Self>) {
        if self.databases.iter().any(|database| database.connection.borrow().is_none())
            && let Err(error) = within(LOOK_TIMEOUT, self.reach()).await
        {
            self.look(&error);
        }
    }

    fn refusal(&self) -> RedisError {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (ErrorKind::Io, "Redis did not answer a moment ago", reason).into()
    }

    /// From now on everybody does without, and one looks for it.
    fn lost(self: &Arc<Self>, why: &RedisError) {
        let take = |database: &Database| database.connection.send_if_modified(|found| found.take().is_some());
        if self.databases.iter().filter(|database| take(database)).count() > 0 {
            self.look(why);
        }
    }

    fn look(self: &Arc<Self>, why: &RedisError) {
        tracing::warn!(error = %why, "Redis does not answer; going on without");
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = why.to_string();
        tokio::spawn(look_for(Arc::downgrade(self)));
    }

    async fn reach(&self) -> RedisResult<()> {
        let mut found = Vec::with_capacity(self.databases.len());
        for database in &self.databases {
            let client = database.source.client().await?;
            let mut connection =
                ConnectionManager::new_with_config(client, settings(RESPONSE_TIMEOUT)).await?;
            redis::cmd("PING").exec_async(&mut connection).await?;
            found.push(connection);
        }
        self.has_come_back.store(true, Ordering::Relaxed);
        for (database, connection) in self.databases.iter().zip(found) {
            database.connection.send_replace(Some(Connection(connection)));
        }
        Ok(())
    }
}

async fn look_for(server: Weak<Server>) {
    while let Some(server) = server.upgrade() {
        if within(LOOK_TIMEOUT, server.reach()).await.is_ok() {
            tracing::info!("Redis answers");
            return;
        }
        drop(server);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether an error says that the server is gone, does not take writes any more, or does not let us in. That it is full or
/// that we asked nonsense does not.
fn is_away(error: &RedisError) -> bool {
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

fn lazy(client: Client) -> RedisResult<Connection> {
    ConnectionManager::new_lazy_with_config(client, settings(RESPONSE_TIMEOUT)).map(Connection)
}

fn settings(patience: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(patience))
        .set_connection_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(0)
}
