//! The queues of messages in Redis: pushing, announcing, counting and tidying. One of two files that use apalis (see the folder's `mod.rs`).

use std::time::Duration;

use ::metrics::counter;
use apalis::prelude::{TaskBuilder, TaskSink};
use apalis_redis::{Config, RedisStorage};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use redis::{AsyncCommands, FromRedisValue, Pipeline, RedisResult};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::ledger::Enqueued,
    platform::{metrics, queue::Queue, redis::Redis},
};

/// A message in Redis.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Message {
    /// The job to run.
    pub id: Uuid,
}

/// The relay keeps at most this many messages of a queue in Redis. Above about 8,000, apalis can no longer unpack them.
pub const MAX_WAITING: u64 = 1_000;

/// Requests stop announcing at this many waiting messages and leave the rest to the relay.
const MAX_ANNOUNCED: u64 = 500;

/// How long Redis keeps the name of a consumer that is gone.
const NAME_SECONDS: i64 = 24 * 3600;

/// The layout of a queue in Redis, the same for pushing and consuming.
///
/// Messages are fetched one at a time, so that the heartbeat never waits behind a full buffer. A consumer that misses
/// three heartbeats of a second is considered dead. There are no locks, since the ledger has them.
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

/// [`announce`] in the background, together with what others announce at the same time.
pub fn announce_soon(app: &App, jobs: Vec<Enqueued>) {
    let redis = app.redis.clone();
    let due = jobs.iter().filter(|job| job.due).map(|job| (job.queue, job.id)).collect();
    let announcing = app.announcements.add(due, move |due| {
        let redis = redis.clone();
        async move { announce_due(&redis, &due).await }
    });
    announcing.map(|announcing| app.tasks.spawn(announcing));
}

/// Pushes jobs that are due to the workers, after the commit. Best effort: the relay finds what is not announced.
pub async fn announce(redis: &Redis, jobs: &[Enqueued]) {
    let due: Vec<_> = jobs.iter().filter(|job| job.due).map(|job| (job.queue, job.id)).collect();
    announce_due(redis, &due).await;
}

async fn announce_due(redis: &Redis, due: &[(Queue, Uuid)]) {
    for queue in Queue::ALL {
        let ids: Vec<Uuid> = due.iter().filter(|job| job.0 == queue).map(|job| job.1).collect();
        if ids.is_empty() {
            continue;
        }
        let announced = async {
            if redis.last_backlog(queue) >= MAX_ANNOUNCED && waiting(redis, queue).await? >= MAX_ANNOUNCED {
                return Ok(());
            }
            push(redis, queue, &ids[..ids.len().min(MAX_ANNOUNCED as usize)]).await
        };
        match announced.await {
            Ok(()) => counter!(metrics::ANNOUNCED, "queue" => queue.name()).increment(ids.len() as u64),
            // The link to Redis logs an outage once.
            Err(error) => {
                let queue = queue.name();
                tracing::debug!(queue, error = error.chain(), "jobs not announced; left to the relay");
            }
        }
    }
}

/// Pushes messages and wakes the workers. Each message gets an id of its own: a consumer of apalis ends when it receives
/// the same id twice.
pub async fn push(redis: &Redis, queue: Queue, ids: &[Uuid]) -> Result<()> {
    let mut storage: RedisStorage<Message> =
        RedisStorage::new(redis.queue.connection()?).with_config(config(redis, queue));
    let messages: Vec<_> = ids.iter().map(|id| TaskBuilder::new(Message { id: *id }).build()).collect();
    let mut wake = redis::pipe();
    wake.publish(redis.keys().wake_channel(), queue.name()).ignore();
    // Both are sent on one connection, one after the other, so this is a single round trip.
    let (pushed, woken) =
        tokio::join!(storage.push_all(stream::iter(messages).boxed()), count_waiting(redis, queue, wake));
    pushed.map_err(|error| Error::Unavailable(anyhow::anyhow!("pushing into {}: {error}", queue.name())))?;
    woken.map(drop)
}

/// How many messages of a queue wait in Redis.
pub async fn waiting(redis: &Redis, queue: Queue) -> Result<u64> {
    count_waiting(redis, queue, redis::pipe()).await
}

/// Runs the commands of `pipe`, then counts the waiting messages.
async fn count_waiting(redis: &Redis, queue: Queue, mut pipe: Pipeline) -> Result<u64> {
    let config = config(redis, queue);
    pipe.zcard(config.scheduled_jobs_set()).llen(config.active_jobs_list());
    let (scheduled, active): (u64, u64) = query(redis, pipe).await?;
    redis.set_last_backlog(queue, scheduled + active);
    Ok(scheduled + active)
}

/// Lets the name of a consumer expire a day after its start; apalis never deletes it.
pub async fn expire_name(redis: &Redis, queue: Queue, consumer: &str) {
    // The consumer writes it when it starts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let key = format!("{}:workers:metadata:{consumer}", redis.keys().queue(queue.name()));
    let expires: RedisResult<bool> =
        redis.queue.query(async |mut redis| redis.expire(&key, NAME_SECONDS).await).await;
    if let Err(error) = expires {
        tracing::debug!(%error, "the name of a consumer stays in Redis");
    }
}

/// How many of these consumers have had a heartbeat since then, to the second.
pub async fn count_alive(
    redis: &Redis,
    queue: Queue,
    names: &[String],
    since: DateTime<Utc>,
) -> Result<usize> {
    let mut scores = redis::pipe();
    for name in names {
        scores.zscore(config(redis, queue).workers_set(), name);
    }
    let heartbeats: Vec<Option<i64>> = query(redis, scores).await?;
    Ok(heartbeats.into_iter().flatten().filter(|second| *second >= since.timestamp()).count())
}

/// How many consumers of a queue, in all workers, have had a heartbeat since then.
pub async fn count_all_alive(redis: &Redis, queue: Queue, since: DateTime<Utc>) -> Result<usize> {
    let workers = config(redis, queue).workers_set().to_owned();
    Ok(redis.queue.query(async |mut redis| redis.zcount(workers, since.timestamp(), "+inf").await).await?)
}

/// Deletes what apalis keeps about handled messages. Returns their number, at most twice `limit`.
pub async fn tidy(redis: &Redis, queue: Queue, limit: usize) -> Result<usize> {
    let config = config(redis, queue);
    let mut pipe = redis::pipe();
    pipe.cmd("SPOP").arg(config.done_jobs_set()).arg(limit);
    pipe.cmd("SPOP").arg(config.dead_jobs_set()).arg(limit);
    let (done, dead): (Vec<String>, Vec<String>) = query(redis, pipe).await?;
    let handled: Vec<String> = done.into_iter().chain(dead).collect();
    if !handled.is_empty() {
        let meta: Vec<String> = handled.iter().map(|id| format!("{}:{id}", config.job_meta_hash())).collect();
        let mut pipe = redis::pipe();
        pipe.hdel(config.job_data_hash(), &handled).ignore().unlink(meta).ignore();
        query::<()>(redis, pipe).await?;
    }
    Ok(handled.len())
}

async fn query<T: FromRedisValue>(redis: &Redis, pipe: Pipeline) -> RedisResult<T> {
    redis.queue.query(async |mut redis| pipe.query_async(&mut redis).await).await
}
