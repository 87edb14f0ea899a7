//! Whether the Redis user may do what Parkade does. Without the check, a job would wait and nothing would say why.

use std::{collections::BTreeSet, time::Duration};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, aio::ConnectionManager};

use super::{
    databases::Redis,
    families::{FAMILIES, REGISTER},
    link::Link,
};
use crate::{
    base::error::{Error, Result},
    platform::queue::Queue,
};

/// What Parkade and the scripts of apalis send to each database. The key K holds a text: commands for other types fail
/// without an effect, and the server checks permissions first.
const COMMANDS: [&str; 3] = [
    "SET K x EX 5,SETEX K 5 x,GET K,MGET K,PTTL K,TIME,EXPIRE K 5,INCRBY K 1,ZADD K 1 x,ZREM K x,ZREMRANGEBYSCORE K 0 1,\
     ZCOUNT K 0 1,EVAL return(1) 1 K,SCRIPT LOAD return(1),EVALSHA x 1 K,UNLINK K,DEL K",
    "SET K x EX 5,SETNX K x,EXPIRE K 5,HGETALL K,HMGET K x,HSET K x x,HMSET K x x,HSETNX K x x,HDEL K x,LPUSH K x,RPUSH K x,\
     LRANGE K 0 0,LTRIM K 0 0,LLEN K,SADD K x,SREM K x,SPOP K 1,SMEMBERS K,ZADD K 1 x,ZREM K x,ZCARD K,ZCOUNT K 0 1,\
     ZSCORE K x,ZRANGEBYSCORE K 0 1,SCRIPT LOAD return(1),EVALSHA x 1 K,UNLINK K,DEL K",
    "SETEX K 5 x,DEL K",
];

/// Stands for the variable part of a key.
const SAMPLE: &str = "access-check";

/// How often permissions are checked while a process runs.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

impl Redis {
    /// What the last check found; `None` if nothing is missing.
    #[must_use]
    pub fn access_problem(&self) -> Option<String> {
        self.access_problem.lock().clone()
    }

    /// Checks permissions now and then, because they can change while Parkade runs.
    pub(crate) async fn watch_access(self) {
        loop {
            let reconnected = self.queue.reconnected();
            let problem = self.check_access().await.err().map(|error| error.to_string());
            if let Some(problem) = &problem {
                tracing::error!("{problem}");
            }
            *self.access_problem.lock() = problem;
            // Without an answer: soon after the server is back.
            drop(tokio::time::timeout(CHECK_INTERVAL, reconnected).await);
        }
    }

    /// Fails if the Redis user lacks a permission, and names what to grant. An outage is not an answer, so then this
    /// succeeds.
    ///
    /// # Errors
    /// [`Error::Permanent`] also for a Redis Cluster.
    pub async fn check_access(&self) -> Result<()> {
        match self.find_missing().await {
            Err(error) => {
                tracing::debug!(%error, "permissions in Redis not checked");
                Ok(())
            }
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(missing) if missing.contains(CLUSTER) => Err(Error::Permanent(
                "Redis Cluster is not supported, because a queue needs all its keys on one server; use Redis with Sentinels"
                    .into(),
            )),
            Ok(missing) => {
                let rules = missing.into_iter().collect::<Vec<_>>().join(" ");
                Err(Error::Permanent(format!(
                    "the Redis user lacks permissions; grant them with: ACL SETUSER {} {rules}",
                    self.user()
                )))
            }
        }
    }

    /// The rules that are missing, as `ACL SETUSER` takes them.
    async fn find_missing(&self) -> RedisResult<BTreeSet<String>> {
        let mut missing = BTreeSet::new();
        for (number, link) in (0_u8..).zip([&self.cache, &self.queue, &self.notifications]) {
            self.check_database(number, link, &mut missing).await?;
        }
        let keys = self.keys();
        self.check_channels(&self.cache, &[keys.invalidation_channel()], &mut missing).await?;
        let channels = [keys.wake_channel(), keys.cancel_channel(), keys.status_channel()];
        self.check_channels(&self.queue, &channels, &mut missing).await?;
        Ok(missing)
    }

    async fn check_database(
        &self,
        number: u8,
        link: &Link,
        missing: &mut BTreeSet<String>,
    ) -> RedisResult<()> {
        let of_prefix = format!("~{}*", self.keys().prefix());
        let key = format!("{}{SAMPLE}", self.keys().prefix());
        for text in COMMANDS[usize::from(number)].split(',') {
            let words = text.split(' ').map(|word| if word == "K" { key.as_str() } else { word });
            self.try_on(link, command(words), &of_prefix, missing).await?;
        }
        let families = FAMILIES.iter().filter(|family| family.database == number);
        for key in families.flat_map(|family| self.sample_keys(family.name)) {
            // Not a number, so nothing happens.
            self.try_on(link, command(["EXPIRE", &key, "never"]), &of_prefix, missing).await?;
        }
        if number == 1 {
            let register = command(["ZREM", REGISTER, SAMPLE]);
            self.try_on(link, register, &format!("~{REGISTER}"), missing).await?;
        }
        Ok(())
    }

    /// Keys of a family. Those of queues have real names.
    fn sample_keys(&self, family: &str) -> Vec<String> {
        let queues = Queue::ALL.iter().map(|queue| family.replace("{queue}", queue.name()));
        let queues: BTreeSet<String> = queues.collect();
        let fill = |name: String| {
            let mut parts = name.split('{');
            let first = parts.next().unwrap_or_default().to_owned();
            let rest =
                parts.map(|part| format!("{SAMPLE}{}", part.split_once('}').map_or("", |(_, rest)| rest)));
            format!("{}{first}{}", self.keys().prefix(), rest.collect::<String>())
        };
        queues.into_iter().map(fill).collect()
    }

    async fn check_channels(
        &self,
        link: &Link,
        channels: &[String],
        missing: &mut BTreeSet<String>,
    ) -> RedisResult<()> {
        let rule = format!("&{}*", self.keys().prefix());
        // Nobody understands an empty message.
        for channel in channels {
            self.try_on(link, command(["PUBLISH", channel, ""]), &rule, missing).await?;
        }
        let subscribed = async {
            let mut subscriber = link.client().await?.get_async_pubsub().await?;
            subscriber.subscribe(channels).await
        };
        learn(subscribed.await, &rule, missing)
    }

    async fn try_on(
        &self,
        link: &Link,
        command: Cmd,
        rule: &str,
        missing: &mut BTreeSet<String>,
    ) -> RedisResult<()> {
        let run = async |mut redis: ConnectionManager| command.exec_async(&mut redis).await;
        learn(link.query(run).await, rule, missing)
    }
}

/// What stands for a Redis Cluster among the missing rules.
const CLUSTER: &str = "cluster";

fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Cmd {
    words.into_iter().fold(Cmd::new(), |mut command, word| {
        command.arg(word);
        command
    })
}

/// Adds what an error says is missing. `rule` is the one for the key or channel. Fails if Redis is away.
fn learn(result: RedisResult<()>, rule: &str, missing: &mut BTreeSet<String>) -> RedisResult<()> {
    let Err(error) = result else { return Ok(()) };
    if error.is_io_error() || error.is_connection_dropped() || error.kind() == ErrorKind::AuthenticationFailed
    {
        return Err(error);
    }
    missing.extend(missing_rule(&error, rule));
    Ok(())
}

/// Such as `+zadd` or the rule for the key or channel. `None` if the error is about something else.
fn missing_rule(error: &RedisError, rule: &str) -> Option<String> {
    let text = error.to_string().to_lowercase();
    if text.contains("cluster") || error.code() == Some("MOVED") {
        return Some(CLUSTER.to_owned());
    }
    if !text.contains("noperm") && !text.contains("no permissions") {
        return None;
    }
    let name = text.split_once("to run the '").and_then(|(_, rest)| rest.split('\'').next());
    Some(name.map_or_else(|| rule.to_owned(), |name| format!("+{name}")))
}
