//! Checks Redis, and through it whether workers are alive.

use std::time::Instant;

use chrono::TimeDelta;
use redis::InfoDict;

use super::{
    rules::{self, RedisServer},
    verdict::{Verdict, problem, warning},
};
use crate::{
    base::{clock::Clock, error::Result},
    jobs::{Queue, queue},
    platform::{config::Config, redis::Redis},
};

/// Consumers send a heartbeat every second; one whose last heartbeat is older counts as dead.
const MAX_HEARTBEAT_AGE: TimeDelta = TimeDelta::seconds(10);

pub(super) async fn check(config: &Config, clock: &Clock) -> Vec<Verdict> {
    examine(config, clock).await.unwrap_or_else(|error| {
        vec![problem(
            format!("it cannot be used: {}", error.chain()),
            "check that Redis runs, and REDIS_HOST, REDIS_PASSWORD or the *_REDIS_URL; until then requests are slower and jobs wait",
        )]
    })
}

/// Examines the server of the job queues; caches and notifications usually share it.
async fn examine(config: &Config, clock: &Clock) -> Result<Vec<Verdict>> {
    let redis = Redis::new(config).await?;
    if let Err(error) = redis.check_access().await {
        return Ok(vec![problem(
            error.to_string(),
            "processes do not start until then; see docs/OPERATIONS.md",
        )]);
    }
    redis.ping_queue().await?;
    redis.ping().await?;
    let mut queue = redis.queue.connection()?;
    let sent = Instant::now();
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut queue).await?;
    let (round_trip, now) = (sent.elapsed(), clock.now());
    let info: InfoDict = redis::cmd("INFO").query_async(&mut queue).await?;
    let server = RedisServer {
        version: info.get("redis_version").unwrap_or_default(),
        has_append_only_file: info.get::<u8>("aof_enabled") == Some(1),
        max_memory: info.get("maxmemory").unwrap_or_default(),
        used_memory: info.get("used_memory").unwrap_or_default(),
        policy: info.get("maxmemory_policy").unwrap_or_default(),
    };
    let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or_default();
    let offset = seconds * 1_000 + micros / 1_000 + half - now.timestamp_millis();
    let mut found = rules::redis(&server);
    found.push(rules::latency(round_trip.as_secs_f64() * 1_000.0));
    found.push(rules::clock("Redis", offset));
    Ok(found)
}

pub(super) async fn check_workers(config: &Config, clock: &Clock) -> Vec<Verdict> {
    count_consumers(config, clock)
        .await
        .unwrap_or_else(|_| vec![warning("workers cannot be checked without Redis", "fix Redis first")])
}

async fn count_consumers(config: &Config, clock: &Clock) -> Result<Vec<Verdict>> {
    let redis = Redis::new(config).await?;
    let since = clock.now() - MAX_HEARTBEAT_AGE;
    let mut found = Vec::new();
    for queue in Queue::ALL {
        found.push(rules::consumers(queue.name(), queue::count_all_alive(&redis, queue, since).await?));
    }
    Ok(found)
}
