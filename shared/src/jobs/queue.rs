//! Announces jobs to the workers through apalis queues in Redis. This file and `worker/src/consume.rs` know apalis.
//!
//! A message holds only the id of a ledger row. Losing one delays a job until the relay's next sweep, having
//! one twice changes nothing, since a job is claimed in the ledger.

use std::time::Duration;

use ::metrics::counter;
use apalis::prelude::{TaskBuilder, TaskSink};
use apalis_redis::{Config, RedisStorage};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use redis::{AsyncCommands, FromRedisValue, Pipeline, RedisResult};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use uuid::Uuid;

use super::{Enqueued, Queue};
use crate::{
    app::App,
    base::error::Result,
    platform::{metrics, redis::Redis},
};

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

/// Where apalis lists its queues, the only key that is not below our prefix: a sorted set, an element a queue.
pub const REGISTER: &str = "core:apalis:queues:list";

/// How long Redis remembers the name of a consumer that is gone.
const NAME_SECONDS: i64 = 24 * 3600;

/// How a queue is laid out and kept in Redis, the same for pushing and consuming.
///
/// One message at a time, so that the heartbeat never waits behind a full buffer; a worker that misses three
/// heartbeats of a second is gone; no locks, since the ledger has them.
#[must_use]
pub fn config(redis: &Redis, queue: Queue) -> Config {
    Config::default()
        .queue(redis.keys().queue(queue.name()))
        .batch_size(1)
        .heartbeat_interval(Duration::from_secs(1))
        .missed_heartbeats(3)
        .lock_tasks(false)
        .emit_events(false)
}

/// [`announce`], without making the caller wait for Redis.
pub fn announce_soon(app: &App, jobs: Vec<Enqueued>) {
    let redis = app.redis.clone();
    app.tasks.spawn(async move { announce(&redis, &jobs).await }.in_current_span());
}

/// Tells the workers about jobs, after the commit. Best effort: what is not announced is found by the relay.
pub async fn announce(redis: &Redis, jobs: &[Enqueued]) {
    for queue in Queue::ALL {
        let ids: Vec<Uuid> =
            jobs.iter().filter(|job| job.queue == queue && job.due).map(|job| job.id).collect();
        if ids.is_empty() {
            continue;
        }
        let announced = async {
            if redis.last_backlog(queue) >= MOST_ANNOUNCED && waiting(redis, queue).await? >= MOST_ANNOUNCED {
                return Ok(());
            }
            push(redis, queue, &ids[..ids.len().min(MOST_ANNOUNCED as usize)]).await
        };
        match announced.await {
            Ok(()) => counter!(metrics::ANNOUNCED, "queue" => queue.name()).increment(ids.len() as u64),
            // That Redis is away or full is said elsewhere, once.
            Err(error) => tracing::debug!(
                queue = queue.name(),
                error = error.chain(),
                "jobs not announced; the relay will"
            ),
        }
    }
}

/// Pushes messages and wakes the workers. Each gets an id of its own: apalis ends a consumer that meets one twice.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn push(redis: &Redis, queue: Queue, ids: &[Uuid]) -> Result<()> {
    let mut storage: RedisStorage<Message> =
        RedisStorage::new(redis.queue.connection()?).with_config(config(redis, queue));
    let messages: Vec<_> = ids.iter().map(|id| TaskBuilder::new(Message { id: *id }).build()).collect();
    // Both go out on one connection, one behind the other, so this is a single round trip.
    let (pushed, woken) = tokio::join!(storage.push_all(stream::iter(messages).boxed()), wake(redis, queue));
    pushed.map_err(|error| {
        crate::Error::Unavailable(anyhow::anyhow!("pushing into {}: {error}", queue.name()))
    })?;
    woken
}

async fn wake(redis: &Redis, queue: Queue) -> Result<()> {
    let config = config(redis, queue);
    let mut pipe = redis::pipe();
    pipe.publish(redis.keys().wake_channel(), queue.name()).ignore();
    pipe.zcard(config.scheduled_jobs_set()).llen(config.active_jobs_list());
    let (scheduled, active): (u64, u64) = ask(redis, pipe).await?;
    redis.set_last_backlog(queue, scheduled + active);
    Ok(())
}

/// How many messages of a queue wait in Redis.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn waiting(redis: &Redis, queue: Queue) -> Result<u64> {
    let config = config(redis, queue);
    let mut pipe = redis::pipe();
    pipe.zcard(config.scheduled_jobs_set()).llen(config.active_jobs_list());
    let (scheduled, active): (u64, u64) = ask(redis, pipe).await?;
    redis.set_last_backlog(queue, scheduled + active);
    Ok(scheduled + active)
}

/// Lets Redis forget the name of a consumer a day after its start; apalis itself would keep it for ever.
pub async fn expire_name(redis: &Redis, queue: Queue, consumer: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let key = format!("{}:workers:metadata:{consumer}", redis.keys().queue(queue.name()));
    let kept: RedisResult<bool> =
        redis.queue.query(async |mut redis| redis.expire(&key, NAME_SECONDS).await).await;
    if let Err(error) = kept {
        tracing::debug!(%error, "the name of a consumer stays in Redis");
    }
}

/// How many of these consumers have shown up since an instant: apalis notes when each was last alive, in seconds.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn alive(redis: &Redis, queue: Queue, names: &[String], since: DateTime<Utc>) -> Result<usize> {
    let mut scores = redis::pipe();
    for name in names {
        scores.zscore(config(redis, queue).workers_set(), name);
    }
    let seen: Vec<Option<i64>> = ask(redis, scores).await?;
    Ok(seen.into_iter().flatten().filter(|seen| *seen >= since.timestamp()).count())
}

/// How many consumers of a queue have shown up since an instant, whoever's they are.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn alive_since(redis: &Redis, queue: Queue, since: DateTime<Utc>) -> Result<usize> {
    let workers = config(redis, queue).workers_set().to_owned();
    Ok(redis.queue.query(async |mut redis| redis.zcount(workers, since.timestamp(), "+inf").await).await?)
}

/// Removes what apalis keeps of handled messages. Returns how many there were, at most twice `limit`.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn tidy(redis: &Redis, queue: Queue, limit: usize) -> Result<usize> {
    let config = config(redis, queue);
    let mut pipe = redis::pipe();
    pipe.cmd("SPOP").arg(config.done_jobs_set()).arg(limit);
    pipe.cmd("SPOP").arg(config.dead_jobs_set()).arg(limit);
    let (done, dead): (Vec<String>, Vec<String>) = ask(redis, pipe).await?;
    let handled: Vec<String> = done.into_iter().chain(dead).collect();
    if !handled.is_empty() {
        let meta: Vec<String> = handled.iter().map(|id| format!("{}:{id}", config.job_meta_hash())).collect();
        let mut pipe = redis::pipe();
        pipe.hdel(config.job_data_hash(), &handled).ignore().unlink(meta).ignore();
        ask::<()>(redis, pipe).await?;
    }
    Ok(handled.len())
}

async fn ask<T: FromRedisValue>(redis: &Redis, pipe: Pipeline) -> RedisResult<T> {
    redis.queue.query(async |mut redis| pipe.query_async(&mut redis).await).await
}
