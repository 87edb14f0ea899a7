//! From a token to the user: the session is looked up in Redis, then in the database.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
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

/// Separates the MAC of a session in Redis from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: sessions in Redis, 1";

/// The length of a MAC in hexadecimal digits.
const MAC_LENGTH: usize = 64;

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

impl Cached {
    /// JSON after its MAC: whoever can write to Redis must not become an administrator.
    fn seal(&self, app: &App) -> Result<String> {
        let json = serde_json::to_string(self)
            .map_err(|error| anyhow::Error::new(error).context("serializing a session"))?;
        let mac = app.keys.of_access(PURPOSE)?.sign(json.as_bytes())?.finalize().into_bytes();
        Ok(hex::encode(mac) + &json)
    }

    fn unseal(app: &App, sealed: &str) -> Option<Self> {
        let (mac, json) = sealed.split_at_checked(MAC_LENGTH)?;
        let expected = app.keys.of_access(PURPOSE).ok()?.sign(json.as_bytes()).ok()?;
        expected.verify_slice(&hex::decode(mac).ok()?).ok()?;
        serde_json::from_str(json).ok()
    }

    /// Whether this is about the session, and neither too old nor from the future.
    fn is_good_for(&self, id: Uuid, now: DateTime<Utc>) -> bool {
        self.identity.session_id == id && (self.seen_at..=self.seen_at + CACHE_TTL).contains(&now)
    }
}

async fn find_cached(app: &App, id: Uuid) -> Option<Identity> {
    if !app.config.cache.is_enabled {
        return None;
    }
    let key = app.redis.keys().session(id);
    let sealed: Option<String> = app.redis.query(async |mut redis| redis.get(key).await).await.ok()?;
    let cached = Cached::unseal(app, &sealed?)?;
    cached.is_good_for(id, app.clock.now()).then_some(cached.identity)
}

async fn find(app: &App, id: Uuid) -> Result<Option<Identity>> {
    let (db, seen_at) = (app.db.read(), app.clock.now());
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT u.id, u.role, u.is_attendant, f.confirmed_at FROM sessions s JOIN users u ON u.id = s.user_id
                 LEFT JOIN second_factors f ON f.user_id = u.id
             WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND u.deleted_at IS NULL",
            [id.into(), at(seen_at)],
        ))
        .await?;
    let Some(row) = row else { return Ok(None) };
    let is_admin = row.try_get::<String>("", "role")? == "admin";
    let has_factor = row.try_get::<Option<DateTime<Utc>>>("", "confirmed_at")?.is_some();
    let must_enrol = is_admin && app.config.require_admin_totp && !has_factor;
    let identity = Identity {
        user_id: row.try_get("", "id")?,
        is_admin: is_admin && !must_enrol,
        must_enrol,
        is_attendant: !is_admin && row.try_get("", "is_attendant")?,
        session_id: id,
        address: None,
    };
    app.counters.mark_active(identity.user_id);
    if app.config.cache.is_enabled {
        store(app, &Cached { identity, seen_at }).await?;
    }
    Ok(Some(identity))
}

/// Stores the time of the last activity, at most once a minute.
const MARK_ACTIVE: &str = "if tonumber(ARGV[1]) - (tonumber(redis.call('GET', KEYS[1])) or 0) >= 60 then
                               redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
                           end";

async fn store(app: &App, cached: &Cached) -> Result<()> {
    let (keys, id) = (app.redis.keys(), cached.identity.session_id);
    let mut pipe = redis::pipe();
    pipe.set_ex(keys.session(id), cached.seal(app)?, CACHE_TTL.num_seconds().unsigned_abs()).ignore();
    pipe.cmd("EVAL").arg(MARK_ACTIVE).arg(1).arg(keys.user_session(id)).arg(cached.seen_at.timestamp());
    pipe.arg(counters::ACTIVE_FOR.num_seconds()).ignore();
    if let Err(error) = app.redis.query(async |mut redis| pipe.exec_async(&mut redis).await).await {
        tracing::debug!(%error, "session not cached");
    }
    Ok(())
}
