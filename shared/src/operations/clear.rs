//! Removing from Redis what can be made again, by SCAN and UNLINK of our own keys; other applications on the same
//! server, sessions and jobs keep theirs.

use redis::{AsyncCommands, RedisResult, aio::ConnectionManager};

use crate::{app::App, base::error::Result, parking::activity};

/// A family of keys that can be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Answers; they are made again when they are next asked for.
    Cache,
    /// Counters; they begin at zero again.
    Counters,
    /// Rate limits; everybody's budgets are whole again.
    RateLimits,
}

impl Scope {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Cache, Self::Counters, Self::RateLimits];

    /// As it is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Counters => "counters",
            Self::RateLimits => "rate_limits",
        }
    }

    /// The family called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn keys(self) -> &'static str {
        match self {
            Self::Cache => "cache:*",
            Self::Counters => "count:*",
            Self::RateLimits => "rate_limit:*",
        }
    }
}

/// Removes these families at the wish of `who`, if it was an administrator. Returns how many keys there were.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away; a part may have been removed then.
pub async fn clear(app: &App, who: Option<i64>, scopes: &[Scope]) -> Result<u64> {
    let removed = clear_families(app, scopes).await?;
    let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
    tracing::info!(user.id = who, scopes = names.join(","), removed, "cleared");
    if let Some(user_id) = who {
        let (db, now) = (app.db.write(), app.clock.now());
        activity::record(db, now, user_id, activity::Kind::Clear, Some(names.join(","))).await?;
    }
    Ok(removed)
}

async fn clear_families(app: &App, scopes: &[Scope]) -> Result<u64> {
    let mut removed = 0;
    for scope in scopes {
        let pattern = app.redis.keys().pattern(scope.keys());
        removed += app.redis.query(|redis| unlink(redis, pattern)).await?;
    }
    Ok(removed)
}

/// Removes what Redis knows about activity, jobs and mails, besides everything that [`clear`] can.
///
/// # Errors
/// As [`clear`].
pub(super) async fn clear_all(app: &App) -> Result<u64> {
    let keys = app.redis.keys();
    let mut removed = clear_families(app, &Scope::ALL).await?;
    for rest in ["user_session:*", "active_users"] {
        let pattern = keys.pattern(rest);
        removed += app.redis.query(|redis| unlink(redis, pattern)).await?;
    }
    removed += app.redis.queue.query(|redis| unlink(redis, keys.pattern("job:*"))).await?;
    removed += app.redis.notifications.query(|redis| unlink(redis, keys.pattern("mail:*"))).await?;
    Ok(removed)
}

/// Keys that one SCAN looks at. The server does nothing else meanwhile, so they are few.
const STEP: u32 = 500;

async fn unlink(mut redis: ConnectionManager, pattern: String) -> RedisResult<u64> {
    let (mut cursor, mut removed) = (0_u64, 0);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
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
