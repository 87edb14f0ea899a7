//! Answers kept in Redis, each with the generations of what it was made from.
//!
//! A write gives its groups new generations; an answer of older ones is not served. The generations are read before
//! the database is, so an answer that was made while a write went on carries the old ones and is never believed:
//! there is no moment at which a late reader could put back what a writer has just made stale.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use redis::{AsyncCommands, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        coalesce::Coalesce,
        error::{Error, Result},
    },
    platform::{counters, metrics},
};

/// What changes together. A write that changes one of these makes everything that was made from it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// All of them: every answer depends on it.
    Everything,
    /// Lots and spots as administrators describe them.
    Catalog,
    /// Which spots are free: any reservation.
    Occupancy,
    /// Any account.
    Users,
    /// One user's account or reservations.
    User(i64),
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Catalog => f.write_str("catalog"),
            Self::Occupancy => f.write_str("occupancy"),
            Self::Users => f.write_str("users"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

/// Which answer, and how long it may be kept.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The part of its key before the first colon groups the hit counters.
    pub key: String,
    /// What it is made from.
    pub groups: Vec<Group>,
    /// However fresh it is.
    pub ttl: Duration,
}

/// An answer as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// With its quotes.
    pub etag: String,
    /// For a list that is not whole: where its next part begins.
    pub next: Option<String>,
    /// JSON.
    pub body: Arc<[u8]>,
}

impl Entry {
    /// An answer that is told from others by its content.
    #[must_use]
    pub fn of(body: Vec<u8>) -> Self {
        let digest = Sha256::digest(&body);
        let etag = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { etag: format!("\"{etag}\""), next: None, body: body.into() }
    }
}

/// What this process knows about the cache. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cache {
    readers: Arc<Coalesce<Result<Entry>>>,
    /// Groups that changed while Redis could not be told, each with the latest such change.
    overdue: Arc<Mutex<Overdue>>,
    /// Whether somebody is trying to tell Redis.
    is_telling: Arc<AtomicBool>,
}

type Overdue = BTreeMap<Group, Uuid>;

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// Longer than any answer is kept, so that an answer never outlives the generation that made it stale.
const GENERATION_TTL: u64 = 2 * 3600;

/// Before Redis is told again of what it could not be told.
const PAUSE: Duration = Duration::from_millis(100);

/// Making an answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Makes an answer from the database.
pub type Load = Box<dyn Fn() -> BoxFuture<'static, Result<Entry>> + Send + Sync>;

/// The answer, from Redis if it is fresh there, else from `load`. Callers who come together share one look. Without a cache
/// each has its own.
///
/// # Errors
/// Those of `load`. Redis may be away.
pub async fn get(app: &App, recipe: Recipe, load: Load) -> Result<Entry> {
    if !app.config.cache.is_enabled {
        return patiently(load()).await;
    }
    let (key, looker) = (recipe.key.clone(), app.clone());
    let look = Arc::new(Look { app: looker, recipe, load });
    let answer = app.cache.readers.join(&key, move |callers| {
        let look = look.clone();
        async move {
            let answer = look.up().await;
            (0..callers).map(|_| answer.as_ref().map(Entry::clone).map_err(Error::again)).collect()
        }
    });
    answer.await.unwrap_or_else(|| Err(anyhow::anyhow!("making an answer panicked").into()))
}

struct Look {
    app: App,
    recipe: Recipe,
    load: Load,
}

impl Look {
    async fn up(&self) -> Result<Entry> {
        match self.read().await {
            Ok((_, Some(entry))) => {
                tracing::debug!(cache.key = self.recipe.key, "cache HIT");
                self.count("cache_hits");
                Ok(entry)
            }
            Ok((generations, None)) => {
                tracing::debug!(cache.key = self.recipe.key, "cache MISS");
                self.count("cache_misses");
                let entry = patiently((self.load)()).await?;
                self.write(&generations, &entry).await;
                Ok(entry)
            }
            Err(error) => {
                tracing::debug!(cache.key = self.recipe.key, %error, "cache away");
                self.count("cache_errors");
                patiently((self.load)()).await
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        let group = self.recipe.key.split(':').next().unwrap_or_default();
        metrics::cache(group, outcome.trim_start_matches("cache_"));
        counters::count(&self.app, format!("{outcome}:{group}"));
    }

    /// The generations of now, and the answer if it was made of these.
    async fn read(&self) -> redis::RedisResult<(Vec<u8>, Option<Entry>)> {
        let keys = self.app.redis.keys();
        let overdue = overdue(&self.app);
        if !overdue.is_empty() {
            renew(&self.app, &overdue).await?;
        }
        let groups = || [Group::Everything].into_iter().chain(self.recipe.groups.iter().copied());
        let generations = groups().map(|group| keys.generation(group));
        let wanted: Vec<String> = generations.chain([keys.cached(&self.recipe.key)]).collect();
        let mut values: Vec<Value> = self.app.redis.ask(async |mut redis| redis.mget(wanted).await).await?;
        let kept = values.pop();
        if values.contains(&Value::Nil) {
            return Ok((self.begin_generations(groups().collect()).await?, None));
        }
        let generations = joined(values);
        let entry = match kept {
            Some(Value::BulkString(kept)) => decode(&kept, &generations),
            _ => None,
        };
        Ok((generations, entry))
    }

    /// Gives a generation to those groups that have none: it is new, or Redis has lost it.
    async fn begin_generations(&self, groups: Vec<Group>) -> redis::RedisResult<Vec<u8>> {
        let keys: Vec<String> = groups.iter().map(|group| self.app.redis.keys().generation(*group)).collect();
        let mut pipe = redis::pipe();
        for key in &keys {
            let options = redis::SetOptions::default()
                .conditional_set(redis::ExistenceCheck::NX)
                .with_expiration(redis::SetExpiry::EX(GENERATION_TTL));
            pipe.set_options(key, new_generation(), options).ignore();
        }
        pipe.cmd("MGET").arg(&keys);
        let (values,): (Vec<Value>,) =
            self.app.redis.ask(async |mut redis| pipe.query_async(&mut redis).await).await?;
        Ok(joined(values))
    }

    async fn write(&self, generations: &[u8], entry: &Entry) {
        // Answers that were made together shall not end together.
        let ttl = self.recipe.ttl.mul_f64(rand::random_range(0.9..=1.0)).as_millis();
        let mut set = redis::cmd("SET");
        set.arg(self.app.redis.keys().cached(&self.recipe.key)).arg(encode(generations, entry));
        set.arg("PX").arg(u64::try_from(ttl).unwrap_or(u64::MAX).max(1));
        if let Err(error) = self.app.redis.ask(async |mut redis| set.exec_async(&mut redis).await).await {
            tracing::debug!(cache.key = self.recipe.key, %error, "not cached");
        }
    }
}

/// Nobody who waits is answered before this ends, so it ends.
async fn patiently(loading: impl Future<Output = Result<Entry>>) -> Result<Entry> {
    match tokio::time::timeout(PATIENCE, loading).await {
        Ok(entry) => entry,
        Err(late) => Err(Error::Unavailable(anyhow::Error::new(late).context("making an answer"))),
    }
}

fn joined(generations: Vec<Value>) -> Vec<u8> {
    let text = |value| if let Value::BulkString(text) = value { text } else { Vec::new() };
    generations.into_iter().map(text).collect::<Vec<_>>().join(&b' ')
}

fn new_generation() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Names the layout of an answer and the release that made it, so that no other reads it.
const LAYOUT: &str = concat!("1/", env!("CARGO_PKG_VERSION"));

fn encode(generations: &[u8], entry: &Entry) -> Vec<u8> {
    let next = entry.next.as_deref().unwrap_or_default();
    let lines = [LAYOUT.as_bytes(), generations, entry.etag.as_bytes(), next.as_bytes(), &entry.body];
    lines.join(&b'\n')
}

fn decode(kept: &[u8], generations: &[u8]) -> Option<Entry> {
    let mut parts = kept.splitn(5, |byte| *byte == b'\n');
    let fresh = parts.next()? == LAYOUT.as_bytes() && parts.next()? == generations;
    let etag = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let next = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let entry = Entry { etag, next: Some(next).filter(|next| !next.is_empty()), body: parts.next()?.into() };
    fresh.then_some(entry)
}

/// To be called after the commit of a write and before it is answered: whatever was made from `groups` is stale.
/// While Redis is away, the groups are remembered: told before this process reads from it again, or as soon as it is back.
pub async fn changed(app: &App, groups: &[Group]) {
    let mut all = overdue(app);
    all.extend(groups.iter().map(|group| (*group, Uuid::new_v4())));
    if let Err(error) = renew(app, &all).await {
        tracing::debug!(%error, "caches not told of a change yet");
        app.cache.overdue().extend(all);
        if !app.cache.is_telling.swap(true, Ordering::Relaxed) {
            tokio::spawn(tell(app.clone()));
        }
    }
}

/// Tries until Redis has been told of every change.
async fn tell(app: App) {
    loop {
        tokio::time::sleep(PAUSE).await;
        app.redis.cache.there().await;
        {
            let overdue = app.cache.overdue();
            if overdue.is_empty() {
                app.cache.is_telling.store(false, Ordering::Relaxed);
                return;
            }
        }
        let all = overdue(&app);
        if let Err(error) = renew(&app, &all).await {
            tracing::debug!(%error, "caches not told of a change yet");
        }
    }
}

/// Tells Redis that these groups have changed. A full Redis takes no new generations but forgets the old ones, which
/// is as good: whoever finds none begins another.
async fn renew(app: &App, groups: &Overdue) -> redis::RedisResult<()> {
    let keys: Vec<String> = groups.keys().map(|group| app.redis.keys().generation(*group)).collect();
    let mut pipe = redis::pipe();
    for key in &keys {
        // A new one each time: what is sent again must not bring back what others have made since.
        pipe.set_ex(key, new_generation(), GENERATION_TTL).ignore();
    }
    if app.redis.ask(async |mut redis| pipe.exec_async(&mut redis).await).await.is_err() {
        app.redis.ask(async |mut redis| redis.unlink::<_, ()>(keys).await).await?;
    }
    settled(app, groups);
    Ok(())
}

impl Cache {
    fn overdue(&self) -> MutexGuard<'_, Overdue> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Redis that was away may have lost the latest generations, so everything is stale then.
fn overdue(app: &App) -> Overdue {
    let mut overdue = app.cache.overdue();
    if app.redis.has_come_back() {
        overdue.insert(Group::Everything, Uuid::new_v4());
    }
    overdue.clone()
}

/// Forgets what Redis was told, unless it has changed again.
fn settled(app: &App, told: &Overdue) {
    app.cache.overdue().retain(|group, change| told.get(group) != Some(change));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_other_generations_or_of_another_release_is_not_read() {
        let entry = Entry::of(b"{\"a\":\n1}".to_vec());
        let part = Entry { next: Some("7".into()), ..entry.clone() };
        assert_eq!(decode(&encode(b"x y ", &part), b"x y "), Some(part));
        let kept = encode(b"x y ", &entry);
        assert_eq!(decode(&kept, b"x y "), Some(entry));
        assert_eq!(decode(&kept, b"x z "), None);
        let of_another_release = [b"1/0.0.0".as_slice(), &kept[LAYOUT.len()..]].concat();
        assert_eq!(decode(&of_another_release, b"x y "), None);
        for cut in 0..LAYOUT.len() + 30 {
            assert_eq!(decode(&kept[..cut.min(kept.len() - 9)], b"x y "), None);
        }
    }
}
