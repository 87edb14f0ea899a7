//! Connections to Redis and the table of keys. Nothing that must survive is kept here.

mod keys;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::keys::{FAMILIES, Family, Keys, family, rows};
use crate::{
    breaker::Breaker,
    config::Config,
    error::{Error, Result},
    jobs::Queue,
};
use redis::{
    Client, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};

/// The three logical databases. Cheap to clone; connections are made on first use and again after a loss.
#[derive(Clone)]
pub struct Redis {
    /// Database 0: caches, sessions, counters, limits. By [`Redis::ask`], so that its absence is noticed.
    cache: ConnectionManager,
    breaker: Arc<Breaker>,
    has_come_back: Arc<AtomicBool>,
    /// Database 1: queues, job status, signals.
    pub queue: ConnectionManager,
    /// Database 2: notification status.
    pub notifications: ConnectionManager,
    queue_client: Client,
    prefix: String,
    /// How many messages of each queue were waiting when last looked at.
    waiting: Arc<[AtomicU64; Queue::ALL.len()]>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A request waits no longer than this for Redis; whatever it wanted is then had without.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A queue consumer is ended by a timeout, so it is patient.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30);

impl Redis {
    /// Prepares the connections; a server that is away is found out on first use.
    ///
    /// # Errors
    /// [`Error::Internal`] for a malformed URL.
    pub fn new(config: &Config) -> Result<Self> {
        let queue_client = client(&config.queue_redis_url)?;
        Ok(Self {
            cache: manager(client(&config.cache_redis_url)?, RESPONSE_TIMEOUT)?,
            breaker: Arc::default(),
            has_come_back: Arc::default(),
            queue: manager(queue_client.clone(), RESPONSE_TIMEOUT)?,
            notifications: manager(client(&config.notification_redis_url)?, RESPONSE_TIMEOUT)?,
            queue_client,
            prefix: config.redis_prefix.clone(),
            waiting: Arc::default(),
        })
    }

    /// Asks database 0, unless it has just failed to answer somebody else.
    ///
    /// # Errors
    /// Those of the question, and an input/output error while Redis is away.
    pub async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        if !self.breaker.lets_pass() {
            return Err((ErrorKind::Io, "Redis did not answer a moment ago").into());
        }
        let answer = question(self.cache.clone()).await;
        let is_away = |error: &RedisError| {
            error.is_io_error()
                || error.is_timeout()
                || error.is_connection_dropped()
                || error.is_connection_refusal()
        };
        if self.breaker.saw(!answer.as_ref().is_err_and(is_away)) {
            self.has_come_back.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// Whether database 0 did not answer when it was last asked, so that everybody does without.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether database 0 was away since this was last asked: it may have lost its latest writes.
    pub(crate) fn has_come_back(&self) -> bool {
        self.has_come_back.swap(false, Ordering::Relaxed)
    }

    /// Answers when database 0 does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.ask(async |mut redis| redis::cmd("PING").exec_async(&mut redis).await).await?)
    }

    /// Answers when database 1 does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping_queue(&self) -> Result<()> {
        Ok(redis::cmd("PING").exec_async(&mut self.queue.clone()).await?)
    }

    /// Answers when the databases of caches and of queues do.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when one of them does not.
    pub async fn answers(&self) -> Result<()> {
        self.ping().await?;
        self.ping_queue().await
    }

    /// A connection to database 1 for a queue consumer, with a patience of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server is away.
    pub fn consumer(&self) -> Result<ConnectionManager> {
        manager(self.queue_client.clone(), CONSUMER_TIMEOUT)
    }

    /// A subscriber on database 1.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server is away.
    pub async fn subscriber(&self) -> Result<redis::aio::PubSub> {
        Ok(self.queue_client.get_async_pubsub().await?)
    }

    pub(crate) fn seen_waiting(&self, queue: Queue) -> u64 {
        self.waiting[queue as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn saw_waiting(&self, queue: Queue, count: u64) {
        self.waiting[queue as usize].store(count, Ordering::Relaxed);
    }

    /// The keys, each under the prefix of this installation.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys(&self.prefix)
    }
}

fn client(url: &SecretString) -> Result<Client> {
    let info = url
        .expose_secret()
        .into_connection_info()
        .map_err(|e| anyhow::Error::new(e).context("the Redis URL"))?;
    Ok(Client::open(info)?)
}

fn manager(client: Client, response_timeout: Duration) -> Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(response_timeout))
        .set_connection_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(20))
        .set_max_delay(Duration::from_millis(100));
    ConnectionManager::new_lazy_with_config(client, config).map_err(Error::from)
}
