//! Announces jobs to the workers through apalis queues in Redis. This file and `worker/src/consume.rs` know apalis.
//!
//! A message holds only the id of a ledger row. Losing one delays a job until the relay's next sweep, having
//! one twice changes nothing, since a job is claimed in the ledger.

use apalis::prelude::{TaskBuilder, TaskId, TaskSink};
use apalis_redis::{Config, RedisStorage};
use futures::{StreamExt, stream};
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Enqueued, Queue};
use crate::{app::App, error::Result, redis::Redis};

/// What travels through Redis.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Message {
    /// The ledger row.
    pub id: Uuid,
}

/// The relay keeps at most this many messages of a queue in Redis; above some 8,000 apalis can unpack no more.
pub const MOST_WAITING: u64 = 1_000;

/// Requests stop announcing at this many and leave the rest to the relay.
const MOST_ANNOUNCED: u64 = 500;

/// How a queue is laid out and kept in Redis, the same for pushing and consuming.
///
/// One message at a time, so that the heartbeat never waits behind a full buffer; a worker that misses three
/// heartbeats of a second is gone; no locks, since the ledger has them.
#[must_use]
pub fn config(redis: &Redis, queue: Queue) -> Config {
    Config::default()
        .queue(redis.keys().queue(queue.name()))
        .batch_size(1)
        .heartbeat_interval(std::time::Duration::from_secs(1))
        .missed_heartbeats(3)
        .lock_tasks(false)
        .emit_events(false)
}

/// [`announce`], without making the caller wait for Redis.
pub fn announce_soon(app: &App, jobs: Vec<Enqueued>) {
    let redis = app.redis.clone();
    tokio::spawn(async move { announce(&redis, &jobs).await });
}

/// Tells the workers about jobs, after the commit. Best effort: what is not announced is found by the relay.
pub async fn announce(redis: &Redis, jobs: &[Enqueued]) {
    for queue in Queue::ALL {
        let ids: Vec<Uuid> = jobs.iter().filter(|job| job.queue == queue && job.due).map(|job| job.id).collect();
        if ids.is_empty() {
            continue;
        }
        let announced = async {
            if waiting(redis, queue).await? < MOST_ANNOUNCED {
                push(redis, queue, &ids).await?;
            }
            Ok::<(), crate::Error>(())
        };
        if let Err(error) = announced.await {
            tracing::warn!(queue = queue.name(), error = error.chain(), "jobs not announced; the relay will");
        }
    }
}

/// Pushes messages and wakes the workers. A message that is in Redis already stays single.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn push(redis: &Redis, queue: Queue, ids: &[Uuid]) -> Result<()> {
    let mut storage: RedisStorage<Message> =
        RedisStorage::new(redis.queue.clone()).with_config(config(redis, queue));
    let messages = ids
        .iter()
        .map(|id| TaskBuilder::new(Message { id: *id }).task_id(TaskId::from_string(id.to_string())).build())
        .collect::<Vec<_>>();
    storage
        .push_all(stream::iter(messages).boxed())
        .await
        .map_err(|error| crate::Error::Unavailable(anyhow::anyhow!("pushing into {}: {error}", queue.name())))?;
    wake(redis, queue).await
}

async fn wake(redis: &Redis, queue: Queue) -> Result<()> {
    let mut redis_queue = redis.queue.clone();
    redis::cmd("PUBLISH")
        .arg(redis.keys().wake_channel())
        .arg(queue.name())
        .query_async::<()>(&mut redis_queue)
        .await?;
    Ok(())
}

/// How many messages of a queue wait in Redis.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn waiting(redis: &Redis, queue: Queue) -> Result<u64> {
    let config = config(redis, queue);
    let (scheduled, active): (u64, u64) = redis::pipe()
        .zcard(config.scheduled_jobs_set())
        .llen(config.active_jobs_list())
        .query_async(&mut redis.queue.clone())
        .await?;
    Ok(scheduled + active)
}

/// Makes Redis forget messages, so that they can be pushed again.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn forget(redis: &Redis, queue: Queue, ids: &[String]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let config = config(redis, queue);
    let meta: Vec<String> = ids.iter().map(|id| format!("{}:{id}", config.job_meta_hash())).collect();
    redis::pipe()
        .hdel(config.job_data_hash(), ids)
        .unlink(meta)
        .query_async::<()>(&mut redis.queue.clone())
        .await?;
    Ok(())
}

/// Removes what apalis keeps of handled messages. Returns how many there were, at most `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn tidy(redis: &Redis, queue: Queue, limit: usize) -> Result<usize> {
    let config = config(redis, queue);
    let mut connection: ConnectionManager = redis.queue.clone();
    let (done, dead): (Vec<String>, Vec<String>) = redis::pipe()
        .cmd("SPOP")
        .arg(config.done_jobs_set())
        .arg(limit)
        .cmd("SPOP")
        .arg(config.dead_jobs_set())
        .arg(limit)
        .query_async(&mut connection)
        .await?;
    let handled: Vec<String> = done.into_iter().chain(dead).collect();
    forget(redis, queue, &handled).await?;
    Ok(handled.len())
}
