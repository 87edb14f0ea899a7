//! The three logical databases of an installation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use redis::{RedisResult, aio::ConnectionManager};

use super::{keys::Keys, link::Link, source::Source};
use crate::{
    base::error::Result,
    platform::{config::Config, queue::Queue},
};

/// How long a queue consumer waits for a reply. Its blocking reads end by themselves before that.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30);

/// The three logical databases. Cheap to clone; connections are made on first use and again after an outage.
#[derive(Clone)]
pub struct Redis {
    /// Database 0: caches, sessions, counters, limits.
    pub cache: Link,
    /// Database 1: queues, job status, signals.
    pub queue: Link,
    /// Database 2: notification status.
    pub notifications: Link,
    prefix: Arc<str>,
    /// The user of the queues.
    user: Arc<str>,
    pub(super) access_problem: Arc<Mutex<Option<String>>>,
    /// The length of each queue when it was last read.
    backlogs: Arc<[AtomicU64; Queue::ALL.len()]>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// Prepares the connections. A server that is down is looked for in the background.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for a malformed URL or an unreadable certificate.
    pub async fn new(config: &Config) -> Result<Self> {
        let source = |url| Source::new(url, &config.redis_servers);
        let queue = source(&config.queue_redis_url)?;
        let user = queue.user().into();
        let sources = [source(&config.cache_redis_url)?, queue, source(&config.notification_redis_url)?];
        let [cache, queue, notifications] = Link::all(sources).await?;
        let (prefix, access_problem) = (config.redis_prefix.as_str().into(), Arc::default());
        Ok(Self { cache, queue, notifications, prefix, user, access_problem, backlogs: Arc::default() })
    }

    /// Queries database 0.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub async fn query<T, F: Future<Output = RedisResult<T>>>(
        &self,
        query: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        self.cache.query(query).await
    }

    /// Whether database 0 is down, so that everything works without it.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.cache.is_down()
    }

    /// Whether database 0 came back since this was last called: it may have lost its latest writes.
    pub(crate) fn has_come_back(&self) -> bool {
        self.cache.has_come_back()
    }

    /// Succeeds when database 0 responds.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.cache.query(ping).await?)
    }

    /// The time of the server of the queues.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not respond.
    pub async fn time(&self) -> Result<DateTime<Utc>> {
        let ask = async |mut redis| redis::cmd("TIME").query_async(&mut redis).await;
        let (seconds, micros): (i64, u32) = self.queue.query(ask).await?;
        let time = DateTime::from_timestamp(seconds, micros * 1_000);
        time.ok_or_else(|| anyhow::anyhow!("Redis sent no valid time").into())
    }

    /// Succeeds when database 1 responds.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not.
    pub async fn ping_queue(&self) -> Result<()> {
        Ok(self.queue.query(ping).await?)
    }

    /// Succeeds when the databases of caches and of queues respond.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when one of them does not.
    pub async fn ping_all(&self) -> Result<()> {
        self.ping().await?;
        self.ping_queue().await
    }

    /// A connection to database 1 for a queue consumer, with a longer timeout.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when no Sentinel knows the server.
    pub async fn consumer_connection(&self) -> Result<ConnectionManager> {
        Ok(self.queue.separate_connection(CONSUMER_TIMEOUT).await?)
    }

    /// The length of a queue when it was last read.
    pub(crate) fn last_backlog(&self, queue: Queue) -> u64 {
        self.backlogs[queue as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn set_last_backlog(&self, queue: Queue, length: u64) {
        self.backlogs[queue as usize].store(length, Ordering::Relaxed);
    }

    /// The name of the user of the queues.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The names of keys, under the prefix of this installation.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.prefix)
    }
}

async fn ping(mut redis: ConnectionManager) -> RedisResult<()> {
    redis::cmd("PING").exec_async(&mut redis).await
}
