//! Reading through the cache: from the process or Redis if the response there is fresh, else from the database.

use std::{sync::Arc, time::Duration};

use redis::RedisResult;

use super::{
    entry::{Entry, decode, encode},
    generations::Generations,
    group::Group,
};
use crate::{
    base::{
        clock::Clock,
        coalesce::Coalesce,
        error::{Error, Result},
    },
    platform::{counters::Counters, metrics, redis::Redis},
};

/// Computing a response may take this long.
const LOAD_TIMEOUT: Duration = Duration::from_secs(25);

/// Which response, and how long it may be kept.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The part of its key before the first colon groups the hit counters.
    pub key: String,
    /// What it is computed from.
    pub groups: Vec<Group>,
    /// How long it is kept at most.
    pub ttl: Duration,
}

/// The cache of responses. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    generations: Generations,
    lookups: Arc<Coalesce<Result<Entry>>>,
    counters: Counters,
    pub(crate) clock: Clock,
    is_enabled: bool,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("is_enabled", &self.is_enabled).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache in `redis`. When it is not enabled, every response is computed.
    #[must_use]
    pub fn new(redis: Redis, counters: Counters, clock: Clock, is_enabled: bool) -> Self {
        Self { generations: Generations::new(redis), lookups: Arc::default(), counters, clock, is_enabled }
    }

    /// The response, from this process or Redis if it is fresh there, else from `load`. Concurrent callers share one lookup;
    /// without a cache each has its own.
    ///
    /// # Errors
    /// Those of `load`. Redis may be away.
    pub async fn get<F>(&self, recipe: Recipe, load: impl Fn() -> F + Send + Sync + 'static) -> Result<Entry>
    where
        F: Future<Output = Result<Entry>> + Send + 'static,
    {
        if !self.is_enabled {
            return in_time(load()).await;
        }
        if let Some(entry) = self.find_local(&recipe) {
            self.count(&recipe, "hits");
            return Ok(entry);
        }
        let key = recipe.key.clone();
        let lookup = Arc::new(Lookup { cache: self.clone(), recipe, load });
        let answer = self.lookups.join(&key, move |callers| {
            let lookup = lookup.clone();
            async move {
                let answer = lookup.run().await;
                (0..callers).map(|_| answer.as_ref().map(Entry::clone).map_err(Error::duplicate)).collect()
            }
        });
        answer.await.unwrap_or_else(|| Err(anyhow::anyhow!("computing an answer panicked").into()))
    }

    /// A response without groups is only as old as its lifetime in Redis says, so it is not served from here.
    fn find_local(&self, recipe: &Recipe) -> Option<Entry> {
        if recipe.groups.is_empty() || self.generations.redis().is_unavailable() {
            return None;
        }
        self.generations.local().find(&recipe.key, &recipe.groups, self.clock.now())
    }

    fn count(&self, recipe: &Recipe, outcome: &'static str) {
        let group = recipe.key.split(':').next().unwrap_or_default();
        let text = match outcome {
            "hits" => "HIT",
            "misses" => "MISS",
            _ => "unavailable",
        };
        tracing::debug!(cache.key = recipe.key, "cache {text}");
        metrics::record_lookup(group, outcome);
        self.counters.increment(format!("cache_{outcome}:{group}"));
    }

    /// Makes every response that was computed from these groups stale. To be called after a write has been committed and
    /// before the response to its caller.
    pub async fn invalidate(&self, groups: &[Group]) {
        self.generations.invalidate(groups).await;
    }
}

struct Lookup<L> {
    cache: Cache,
    recipe: Recipe,
    load: L,
}

impl<L, F> Lookup<L>
where
    L: Fn() -> F + Send + Sync,
    F: Future<Output = Result<Entry>> + Send,
{
    async fn run(&self) -> Result<Entry> {
        let (cache, recipe) = (&self.cache, &self.recipe);
        let moment = cache.generations.local().moment(&recipe.groups);
        let (generations, found) = match self.read().await {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(%error, "no lookup in Redis");
                cache.count(recipe, "errors");
                return in_time((self.load)()).await;
            }
        };
        cache.count(recipe, if found.is_some() { "hits" } else { "misses" });
        let entry = match found {
            Some(entry) => entry,
            None => {
                let entry = in_time((self.load)()).await?;
                self.write(&generations, &entry).await;
                entry
            }
        };
        cache.generations.local().keep(&recipe.key, &entry, moment);
        Ok(entry)
    }

    /// The current generations, and the response if it was computed from them.
    async fn read(&self) -> RedisResult<(Vec<u8>, Option<Entry>)> {
        let groups = [&[Group::Everything], self.recipe.groups.as_slice()].concat();
        let key = self.redis().keys().cached(&self.recipe.key);
        let (generations, stored) = self.cache.generations.read_with(&groups, key).await?;
        let entry = stored.and_then(|stored| decode(&stored, &generations, self.cache.clock.now()));
        Ok((generations, entry))
    }

    async fn write(&self, generations: &[u8], entry: &Entry) {
        // Responses that were computed together do not expire together.
        let rest = entry.expires_at.map(|at| (at - self.cache.clock.now()).to_std().unwrap_or_default());
        let ttl = self.recipe.ttl.mul_f64(rand::random_range(0.9..=1.0));
        let ttl = rest.map_or(ttl, |rest| rest.min(ttl)).as_millis();
        let mut set = redis::cmd("SET");
        set.arg(self.redis().keys().cached(&self.recipe.key)).arg(encode(generations, entry));
        set.arg("PX").arg(u64::try_from(ttl).unwrap_or(u64::MAX).max(1));
        if let Err(error) = self.redis().query(async |mut redis| set.exec_async(&mut redis).await).await {
            tracing::debug!(cache.key = self.recipe.key, %error, "answer not cached");
        }
    }

    fn redis(&self) -> &Redis {
        self.cache.generations.redis()
    }
}

/// Ends a load that takes too long: every caller waits for it.
async fn in_time(load: impl Future<Output = Result<Entry>>) -> Result<Entry> {
    match tokio::time::timeout(LOAD_TIMEOUT, load).await {
        Ok(entry) => entry,
        Err(late) => Err(Error::Unavailable(anyhow::Error::new(late).context("computing an answer"))),
    }
}
