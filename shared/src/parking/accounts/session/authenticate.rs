//! From a token to the user: the session is looked up in Redis, then in the database.

use chrono::{DateTime, TimeDelta, Utc};
use redis::AsyncCommands;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::token;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    platform::{
        counters,
        db::{at, sql},
    },
};

/// How long Redis is trusted about a session: an ended one is rejected everywhere within a second, even if Redis was
/// unavailable when it ended.
const CACHE_TTL: TimeDelta = TimeDelta::seconds(1);

/// The user that the token belongs to.
///
/// # Errors
/// [`Error::Unauthenticated`], the same whatever is wrong with the token.
pub async fn authenticate(app: &App, token: &str) -> Result<Identity> {
    const REJECTED: Error =
        Error::Unauthenticated("the token is not valid or the session has ended; log in again");
    let claims = token::verify(app, token)?.ok_or(REJECTED)?;
    let identity = match find_cached(app, claims.sid).await {
        Some(identity) => identity,
        None => find(app, claims.sid).await?.ok_or(REJECTED)?,
    };
    if claims.sub == identity.user_id.to_string() { Ok(identity) } else { Err(REJECTED) }
}

/// A session in Redis. The expiry of the key is not enough, because a hanging Redis may execute a write long after it
/// was sent.
#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    identity: Identity,
    seen_at: DateTime<Utc>,
}

async fn find_cached(app: &App, id: Uuid) -> Option<Identity> {
    if !app.config.cache.is_enabled {
        return None;
    }
    let key = app.redis.keys().session(id);
    let cached: Option<String> = app.redis.query(async |mut redis| redis.get(key).await).await.ok()?;
    let cached: Cached = serde_json::from_str(&cached?).ok()?;
    (app.clock.now() - cached.seen_at <= CACHE_TTL).then_some(cached.identity)
}

async fn find(app: &App, id: Uuid) -> Result<Option<Identity>> {
    let (db, seen_at) = (app.db.read(), app.clock.now());
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT u.id, u.role FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND u.deleted_at IS NULL",
            [id.into(), at(seen_at)],
        ))
        .await?;
    let Some(row) = row else { return Ok(None) };
    let identity = Identity {
        user_id: row.try_get("", "id")?,
        is_admin: row.try_get::<String>("", "role")? == "admin",
        session_id: id,
        address: None,
    };
    app.counters.mark_active(identity.user_id);
    if app.config.cache.is_enabled {
        store(app, &Cached { identity, seen_at }).await;
    }
    Ok(Some(identity))
}

/// Stores the time of the last activity, at most once a minute.
const MARK_ACTIVE: &str = "if tonumber(ARGV[1]) - (tonumber(redis.call('GET', KEYS[1])) or 0) >= 60 then
                               redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
                           end";

async fn store(app: &App, cached: &Cached) {
    let (keys, id) = (app.redis.keys(), cached.identity.session_id);
    let Ok(json) = serde_json::to_string(cached) else { return };
    let mut pipe = redis::pipe();
    pipe.set_ex(keys.session(id), json, CACHE_TTL.num_seconds().unsigned_abs()).ignore();
    pipe.cmd("EVAL").arg(MARK_ACTIVE).arg(1).arg(keys.user_session(id)).arg(cached.seen_at.timestamp());
    pipe.arg(counters::ACTIVE_FOR.num_seconds()).ignore();
    if let Err(error) = app.redis.query(async |mut redis| pipe.exec_async(&mut redis).await).await {
        tracing::debug!(%error, "session not cached");
    }
}
