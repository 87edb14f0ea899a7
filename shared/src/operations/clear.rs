//! Clears caches, counters and rate limits in Redis, by SCAN and UNLINK of our own keys. Sessions, jobs and other
//! applications on the same server are not affected.

use redis::{AsyncCommands, RedisResult, aio::ConnectionManager};

use crate::{app::App, base::error::Result, parking::activity, platform::cache::Group};

/// A group of keys that can be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Cached responses.
    Cache,
    /// Counters, which restart at zero.
    Counters,
    /// Rate limits of all callers.
    RateLimits,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Cache, Self::Counters, Self::RateLimits];

    /// The name in the API and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Counters => "counters",
            Self::RateLimits => "rate_limits",
        }
    }

    /// Finds a scope by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn pattern(self) -> &'static str {
        match self {
            Self::Cache => "cache:*",
            Self::Counters => "count:*",
            Self::RateLimits => "rate_limit:*",
        }
    }
}

/// Clears these scopes and returns how many keys were removed. `who` is the administrator, if it was requested over HTTP.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away; some keys may already be gone.
pub async fn clear(app: &App, who: Option<i64>, scopes: &[Scope]) -> Result<u64> {
    let removed = clear_scopes(app, scopes).await?;
    let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
    tracing::info!(user.id = who, scopes = names.join(","), removed, "cleared keys in Redis");
    if let Some(user_id) = who {
        let (db, now) = (app.db.write(), app.clock.now());
        activity::record(db, now, user_id, activity::Kind::Clear, Some(names.join(","))).await?;
    }
    Ok(removed)
}

async fn clear_scopes(app: &App, scopes: &[Scope]) -> Result<u64> {
    let mut removed = 0;
    for scope in scopes {
        let pattern = app.redis.keys().pattern(scope.pattern());
        removed += app.redis.query(|redis| unlink(redis, pattern)).await?;
    }
    if scopes.contains(&Scope::Cache) {
        // Processes also keep responses.
        app.cache.invalidate(&[Group::Everything]).await;
    }
    Ok(removed)
}

/// Clears every scope, and everything Redis holds about activity, jobs and mails.
pub(super) async fn clear_all(app: &App) -> Result<u64> {
    let keys = app.redis.keys();
    let mut removed = clear_scopes(app, &Scope::ALL).await?;
    for rest in ["user_session:*", "active_users"] {
        let pattern = keys.pattern(rest);
        removed += app.redis.query(|redis| unlink(redis, pattern)).await?;
    }
    removed += app.redis.queue.query(|redis| unlink(redis, keys.pattern("job:*"))).await?;
    removed += app.redis.notifications.query(|redis| unlink(redis, keys.pattern("mail:*"))).await?;
    Ok(removed)
}

/// Keys per SCAN. The server does nothing else meanwhile, so this is small.
const SCAN_COUNT: u32 = 500;

async fn unlink(mut redis: ConnectionManager, pattern: String) -> RedisResult<u64> {
    let (mut cursor, mut removed) = (0_u64, 0);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut redis).await?;
        if !keys.is_empty() {
            removed += redis.unlink::<_, u64>(keys).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(removed);
        }
    }
}
