//! Connections to Redis and the table of keys. Nothing that must survive is kept here.

mod keys;
mod link;
mod source;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{RedisResult, aio::ConnectionManager};

use self::source::Source;
pub use self::{
    keys::{FAMILIES, Family, Keys, family_of, table_rows},
    link::Link,
};
use crate::{
    base::error::{Error, Result},
    platform::{config::Config, queue::Queue},
};

/// The three logical databases. Cheap to clone; connections are made on first use and again after a loss.
#[derive(Clone)]
pub struct Redis {
    /// Database 0: caches, sessions, counters, limits.
    pub cache: Link,
    /// Database 1: queues, job status, signals.
    pub queue: Link,
    /// Database 2: notification status.
    pub notifications: Link,
    prefix: Arc<str>,
    /// How many messages of each queue were waiting when last looked at.
    waiting: Arc<[AtomicU64; Queue::ALL.len()]>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A queue consumer is ended by a timeout, so it is patient.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30);

/// A subscription is there within this, or is tried again.
const SUBSCRIPTION_TIMEOUT: Duration = Duration::from_secs(2);

impl Redis {
    /// Prepares the connections. A server may be away, and is looked for then.
    ///
    /// # Errors
    /// [`Error::Internal`] for a malformed URL or a certificate that cannot be read.
    pub async fn new(config: &Config) -> Result<Self> {
        let source = |url| Source::new(url, &config.redis_servers);
        let [cache, queue, notifications] = Link::all([
            source(&config.cache_redis_url)?,
            source(&config.queue_redis_url)?,
            source(&config.notification_redis_url)?,
        ])
        .await?;
        let prefix = config.redis_prefix.as_str().into();
        Ok(Self { cache, queue, notifications, prefix, waiting: Arc::default() })
    }

    /// Asks database 0, unless it is away.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub async fn query<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        self.cache.query(question).await
    }

    /// Whether database 0 did not answer when it was last asked, so that everybody does without.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.cache.is_away()
    }

    /// Whether database 0 was away since this was last asked: it may have lost its latest writes.
    pub(crate) fn has_come_back(&self) -> bool {
        self.cache.has_come_back()
    }

    /// Answers when database 0 does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.cache.query(ping).await?)
    }

    /// Answers when database 1 does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping_queue(&self) -> Result<()> {
        Ok(self.queue.query(ping).await?)
    }

    /// Answers when the databases of caches and of queues do.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when one of them does not.
    pub async fn ping_all(&self) -> Result<()> {
        self.ping().await?;
        self.ping_queue().await
    }

    /// A connection to database 1 for a queue consumer, with a patience of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nobody knows where the server is.
    pub async fn consumer_connection(&self) -> Result<ConnectionManager> {
        Ok(self.queue.own(CONSUMER_TIMEOUT).await?)
    }

    /// A subscriber on database 1. It is of no use any more once the link to it is [reconnected](Link::reconnected).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server is away.
    pub async fn subscriber(&self) -> Result<redis::aio::PubSub> {
        let client = self.queue.client().await?;
        let subscribing = tokio::time::timeout(SUBSCRIPTION_TIMEOUT, client.get_async_pubsub());
        let late = |late| Error::Unavailable(anyhow::Error::new(late).context("subscribing in Redis"));
        Ok(subscribing.await.map_err(late)??)
    }

    pub(crate) fn last_backlog(&self, queue: Queue) -> u64 {
        self.waiting[queue as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn set_last_backlog(&self, queue: Queue, count: u64) {
        self.waiting[queue as usize].store(count, Ordering::Relaxed);
    }

    /// The keys, each under the prefix of this installation.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys(&self.prefix)
    }
}

async fn ping(mut redis: ConnectionManager) -> RedisResult<()> {
    redis::cmd("PING").exec_async(&mut redis).await
}
