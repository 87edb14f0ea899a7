//! The generations of groups: random names that Redis keeps, replaced by every write.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use redis::{AsyncCommands, Cmd, ExistenceCheck, RedisResult, SetExpiry, SetOptions, Value};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{group::Group, local::Local};
use crate::platform::redis::Redis;

/// Longer than any response is kept, so that no response outlives the generation that made it stale.
const GENERATION_TTL: u64 = 2 * 3600;

/// Between two attempts to invalidate overdue groups.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Generations(Arc<Shared>);

struct Shared {
    redis: Redis,
    local: Arc<Local>,
    /// Keeps `local` informed.
    following: OnceLock<AbortOnDropHandle<()>>,
    /// Groups that could not be invalidated yet.
    overdue: Mutex<Overdue>,
    is_retrying: AtomicBool,
}

/// Each group with an id of its latest change.
type Overdue = BTreeMap<Group, Uuid>;

impl Generations {
    pub(super) fn new(redis: Redis) -> Self {
        Self(Arc::new(Shared {
            redis,
            local: Arc::default(),
            following: OnceLock::new(),
            overdue: Mutex::default(),
            is_retrying: AtomicBool::new(false),
        }))
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.0.redis
    }

    /// What this process keeps. From the first call on, it follows the changes of other processes.
    pub(super) fn local(&self) -> &Local {
        let follow =
            || AbortOnDropHandle::new(tokio::spawn(self.0.local.clone().follow(self.redis().clone())));
        self.0.following.get_or_init(follow);
        &self.0.local
    }

    /// The current generations of the groups, and what is stored at `key`, read in one step.
    pub(super) async fn read_with(
        &self,
        groups: &[Group],
        key: String,
    ) -> RedisResult<(Vec<u8>, Option<Vec<u8>>)> {
        let overdue = self.overdue();
        if !overdue.is_empty() {
            self.renew(&overdue).await?;
        }
        let mut keys = self.generation_keys(groups);
        keys.push(key);
        let mut values: Vec<Value> = self.redis().query(async |mut redis| redis.mget(keys).await).await?;
        let stored = values.pop();
        if values.contains(&Value::Nil) {
            return Ok((self.begin(groups).await?, None));
        }
        Ok((joined(values), stored.and_then(bytes)))
    }

    /// Gives a generation to the groups that have none, because they are new or Redis has lost theirs.
    async fn begin(&self, groups: &[Group]) -> RedisResult<Vec<u8>> {
        let keys = self.generation_keys(groups);
        let mut pipe = redis::pipe();
        for key in &keys {
            let options = SetOptions::default()
                .conditional_set(ExistenceCheck::NX)
                .with_expiration(SetExpiry::EX(GENERATION_TTL));
            pipe.set_options(key, new_generation(), options).ignore();
        }
        pipe.cmd("MGET").arg(&keys);
        let query = async |mut redis| pipe.query_async(&mut redis).await;
        let (values,): (Vec<Value>,) = self.redis().query(query).await?;
        Ok(joined(values))
    }

    /// Makes everything that was computed from the groups stale. While Redis is away, the groups are remembered and
    /// invalidated before this process reads from Redis again.
    pub(super) async fn invalidate(&self, groups: &[Group]) {
        let mut all = self.overdue();
        all.extend(groups.iter().map(|group| (*group, Uuid::new_v4())));
        if let Err(error) = self.renew(&all).await {
            tracing::debug!(%error, "cache not invalidated yet");
            self.0.overdue.lock().extend(all);
            groups.iter().for_each(|group| self.0.local.drop_group(*group));
            if !self.0.is_retrying.swap(true, Ordering::Relaxed) {
                tokio::spawn(self.clone().retry());
            }
        }
    }

    /// Retries until every group has been invalidated.
    async fn retry(self) {
        loop {
            tokio::time::sleep(RETRY_INTERVAL).await;
            self.redis().cache.wait_until_available().await;
            {
                let overdue = self.0.overdue.lock();
                if overdue.is_empty() {
                    self.0.is_retrying.store(false, Ordering::Relaxed);
                    return;
                }
            }
            if let Err(error) = self.renew(&self.overdue()).await {
                tracing::debug!(%error, "cache not invalidated yet");
            }
        }
    }

    /// Gives the groups new generations and announces the change, in one round trip. A full Redis accepts no new ones, but
    /// deleting the old ones is as good: the next reader then begins another.
    async fn renew(&self, groups: &Overdue) -> RedisResult<()> {
        let keys: Vec<String> = groups.keys().map(|group| self.redis().keys().generation(group)).collect();
        let mut pipe = redis::pipe();
        for key in &keys {
            // Always a new one: a retry must not restore what others have replaced since.
            pipe.set_ex(key, new_generation(), GENERATION_TTL).ignore();
        }
        // Last, because subscribers then read the new generations.
        let names: Vec<String> = groups.keys().map(Group::to_string).collect();
        let publish = Cmd::publish(self.redis().keys().invalidation_channel(), names.join(" "));
        pipe.add_command(publish.clone()).ignore();
        if self.redis().query(async |mut redis| pipe.exec_async(&mut redis).await).await.is_err() {
            self.redis().query(async |mut redis| redis.unlink::<_, ()>(keys).await).await?;
            let published = self.redis().query(async |mut redis| publish.exec_async(&mut redis).await).await;
            if let Err(error) = published {
                tracing::debug!(%error, "other processes notice the change within a second");
            }
        }
        groups.keys().for_each(|group| self.0.local.drop_group(*group));
        // Groups that have changed again since stay overdue.
        self.0.overdue.lock().retain(|group, change| groups.get(group) != Some(change));
        Ok(())
    }

    /// The groups still to invalidate: `Everything` after an outage, because Redis may have lost generations.
    fn overdue(&self) -> Overdue {
        let mut overdue = self.0.overdue.lock();
        if self.redis().has_come_back() {
            overdue.insert(Group::Everything, Uuid::new_v4());
        }
        overdue.clone()
    }

    fn generation_keys(&self, groups: &[Group]) -> Vec<String> {
        groups.iter().map(|group| self.redis().keys().generation(group)).collect()
    }
}

fn joined(generations: Vec<Value>) -> Vec<u8> {
    generations.into_iter().map(|value| bytes(value).unwrap_or_default()).collect::<Vec<_>>().join(&b' ')
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

fn new_generation() -> String {
    Uuid::new_v4().simple().to_string()
}
