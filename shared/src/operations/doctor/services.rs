//! The doctor's look at Redis, the workers behind it, and the mail server.

use std::time::Instant;

use chrono::TimeDelta;
use redis::InfoDict;

use super::{
    Finding, in_time,
    rules::{self, Server, Verdict, ok, problem, warning},
};
use crate::{
    base::{clock::Clock, error::Result},
    jobs::{Queue, queue},
    platform::{
        config::{Config, Environment},
        mailer::Mailer,
        redis::Redis,
    },
};

/// A consumer shows up every second.
const LATELY: TimeDelta = TimeDelta::seconds(10);

pub(super) async fn look(config: &Config, clock: &Clock) -> Vec<Finding> {
    let (redis, workers, mail) = tokio::join!(
        in_time("redis", redis(config, clock)),
        in_time("worker", workers(config, clock)),
        in_time("mail", mail(config))
    );
    [redis, workers, mail].concat()
}

async fn redis(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let mut found = Vec::new();
    if let Err(error) = examine(config, clock, &mut found).await {
        found.push(problem(
            format!("it cannot be used: {}", error.chain()),
            "check that it runs, and REDIS_HOST, REDIS_PASSWORD or the *_REDIS_URL; until then requests are slower and jobs wait",
        ));
    }
    found
}

/// The server of the queues; those of the caches and of the notifications are mostly the same one.
async fn examine(config: &Config, clock: &Clock, found: &mut Vec<Verdict>) -> Result<()> {
    let redis = Redis::new(config).await?;
    redis.ping_queue().await?;
    redis.ping().await?;
    let mut queue = redis.queue.connection()?;
    let begun = Instant::now();
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut queue).await?;
    let (took, now) = (begun.elapsed(), clock.now());
    let info: InfoDict = redis::cmd("INFO").query_async(&mut queue).await?;
    let server = Server {
        version: info.get("redis_version").unwrap_or_default(),
        appends: info.get::<u8>("aof_enabled") == Some(1),
        limit: info.get("maxmemory").unwrap_or_default(),
        used: info.get("used_memory").unwrap_or_default(),
        policy: info.get("maxmemory_policy").unwrap_or_default(),
    };
    found.extend(rules::server(&server));
    found.push(rules::latency(took.as_secs_f64() * 1_000.0));
    let half = i64::try_from(took.as_millis() / 2).unwrap_or_default();
    found.push(rules::clock("Redis", seconds * 1_000 + micros / 1_000 + half - now.timestamp_millis()));
    Ok(())
}

async fn workers(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let alive = async {
        let redis = Redis::new(config).await?;
        let since = clock.now() - LATELY;
        let mut found = Vec::new();
        for queue in Queue::ALL {
            found.push(rules::consumers(queue.name(), queue::count_all_alive(&redis, queue, since).await?));
        }
        Ok::<_, crate::Error>(found)
    };
    alive.await.unwrap_or_else(|_| {
        vec![warning(
            "without Redis it is not known whether workers are alive",
            "see what is said about Redis",
        )]
    })
}

async fn mail(config: &Config) -> Vec<Verdict> {
    let mailer = match Mailer::from_config(&config.mail) {
        Ok(mailer) => mailer,
        Err(error) => return vec![problem(error.chain(), "mend the MAIL_ settings")],
    };
    let Mailer::Smtp(server) = mailer else {
        let what = format!("no MAIL_SERVER is set: mails become files in {}", config.mail.folder.display());
        let is_production = config.environment == Environment::Production;
        return vec![if is_production { problem(what, "set MAIL_SERVER") } else { ok(what) }];
    };
    let mut steps = Vec::new();
    let checked = server.check(&mut |step| steps.push(ok(step))).await;
    if let Err(error) = checked {
        steps.push(problem(error.to_string(), "parkade-worker test-email ADDRESS tries it with a mail"));
    }
    steps
}
