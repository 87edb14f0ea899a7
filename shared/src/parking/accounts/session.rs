//! Sessions: a token names a row, and is good only while that row is open.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use redis::AsyncCommands;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    platform::{
        counters,
        db::{at, sql},
        entities::session,
    },
};

const ISSUER: &str = "parkade";
const AUDIENCE: &str = "parkade-api";

/// A session may be believed from Redis for this long, so an ended one fails everywhere within a second,
/// also when Redis was away while it was ended.
const BELIEVED_SECONDS: u64 = 1;
const BELIEVED_FOR: TimeDelta = TimeDelta::seconds(1);

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: Uuid,
    jti: Uuid,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

/// Opens a session in the caller's transaction and returns its token.
///
/// # Errors
/// Those of the database.
pub async fn open(
    app: &App,
    db: &impl ConnectionTrait,
    user_id: i64,
    user_agent: Option<String>,
) -> Result<String> {
    let now = app.clock.now();
    let row = session::Model {
        id: Uuid::now_v7(),
        user_id,
        user_agent: user_agent.map(|text| text.chars().take(200).collect()),
        created_at: now,
        expires_at: now + app.config.session_lifetime,
        ended_at: None,
    };
    let token = token(app, user_id, row.id, now)?;
    session::ActiveModel::from(row).insert(db).await?;
    Ok(token)
}

fn token(app: &App, user_id: i64, session_id: Uuid, now: DateTime<Utc>) -> Result<String> {
    let claims = Claims {
        sub: user_id.to_string(),
        sid: session_id,
        jti: Uuid::new_v4(),
        iat: now.timestamp(),
        exp: (now + app.config.session_lifetime).timestamp(),
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
    };
    let key = EncodingKey::from_secret(app.config.jwt_secret().map_err(anyhow::Error::new)?);
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| anyhow::Error::new(error).context("signing a token"))?)
}

/// Who the token belongs to.
///
/// # Errors
/// [`Error::Unauthenticated`] for every token that is not good, whatever is wrong with it.
pub async fn find(app: &App, token: &str) -> Result<Identity> {
    const REFUSED: Error =
        Error::Unauthenticated("the token is not valid or the session has ended; log in again");
    let claims = read(app, token)?.ok_or(REFUSED)?;
    let identity = match believed(app, claims.sid).await {
        Some(identity) => identity,
        None => look_up(app, claims.sid).await?.ok_or(REFUSED)?,
    };
    if claims.sub == identity.user_id.to_string() { Ok(identity) } else { Err(REFUSED) }
}

/// The session that a token of ours names. It may have ended meanwhile: nothing is asked for.
///
/// # Errors
/// A setting that is missing.
pub fn named(app: &App, token: &str) -> Result<Option<Uuid>> {
    Ok(read(app, token)?.map(|claims| claims.sid))
}

/// The claims, if signature, issuer, audience and times hold.
fn read(app: &App, token: &str) -> Result<Option<Claims>> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false; // below, by the application's clock
    let key = DecodingKey::from_secret(app.config.jwt_secret().map_err(anyhow::Error::new)?);
    let now = app.clock.now().timestamp();
    Ok(jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .ok()
        .map(|data| data.claims)
        .filter(|claims| claims.exp > now && claims.iat <= now + 60))
}

/// What Redis keeps: who it is, and when SQL said so. The expiry of the key is not enough, because a write may reach
/// a Redis that hung long after it was sent.
#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    identity: Identity,
    seen_at: DateTime<Utc>,
}

async fn believed(app: &App, id: Uuid) -> Option<Identity> {
    if !app.config.cache.is_enabled {
        return None;
    }
    let key = app.redis.keys().session(id);
    let cached: Option<String> = app.redis.query(async |mut redis| redis.get(key).await).await.ok()?;
    let cached: Cached = serde_json::from_str(&cached?).ok()?;
    let age = app.clock.now() - cached.seen_at;
    (age <= BELIEVED_FOR).then_some(cached.identity)
}

async fn look_up(app: &App, id: Uuid) -> Result<Option<Identity>> {
    let seen_at = app.clock.now();
    let row = app
        .db
        .read()
        .query_one_raw(sql(
            app.db.read(),
            "SELECT u.id, u.role FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND u.deleted_at IS NULL",
            [id.into(), at(seen_at)],
        ))
        .await?;
    let Some(row) = row else { return Ok(None) };
    app.counters.mark_active(row.try_get("", "id")?);
    let identity = Identity {
        user_id: row.try_get("", "id")?,
        is_admin: row.try_get::<String>("", "role")? == "admin",
        session_id: id,
    };
    if app.config.cache.is_enabled {
        keep(app, &Cached { identity, seen_at }).await;
    }
    Ok(Some(identity))
}

/// Writes the time of the last activity, unless that was less than a minute ago.
const NOTE: &str = "if tonumber(ARGV[1]) - (tonumber(redis.call('GET', KEYS[1])) or 0) >= 60 then
                        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
                    end";

/// Lets Redis know of a session, and that it is in use, in one round trip.
async fn keep(app: &App, cached: &Cached) {
    let (keys, id) = (app.redis.keys(), cached.identity.session_id);
    let Ok(json) = serde_json::to_string(cached) else { return };
    let mut pipe = redis::pipe();
    pipe.set_ex(keys.session(id), json, BELIEVED_SECONDS).ignore();
    pipe.cmd("EVAL").arg(NOTE).arg(1).arg(keys.user_session(id)).arg(cached.seen_at.timestamp());
    pipe.arg(counters::ACTIVE_FOR.num_seconds()).ignore();
    if let Err(error) = app.redis.query(async |mut redis| pipe.exec_async(&mut redis).await).await {
        tracing::debug!(%error, "session not cached");
    }
}

/// Extends the caller's session and returns a new token for it.
///
/// # Errors
/// [`Error::Unauthenticated`] when it has ended meanwhile.
pub async fn refresh(app: &App, who: &Identity) -> Result<String> {
    let now = app.clock.now();
    let extended = app
        .db
        .write()
        .execute_raw(sql(
            app.db.write(),
            "UPDATE sessions SET expires_at = $2 WHERE id = $1 AND ended_at IS NULL",
            [who.session_id.into(), at(now + app.config.session_lifetime)],
        ))
        .await?;
    if extended.rows_affected() == 0 {
        return Err(Error::Unauthenticated("the session has ended; log in again"));
    }
    token(app, who.user_id, who.session_id, now)
}

/// An open session.
#[derive(Debug, Clone)]
pub struct Session {
    /// As the database has it.
    pub row: session::Model,
    /// When it was last in use, to the minute; none when that was more than twelve hours ago or Redis has lost it.
    pub last_active_at: Option<DateTime<Utc>>,
}

/// The user's open sessions, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App, user_id: i64) -> Result<Vec<Session>> {
    let rows = session::Entity::find()
        .filter(session::Column::UserId.eq(user_id))
        .filter(session::Column::EndedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(app.clock.now()))
        .order_by_desc(session::Column::CreatedAt)
        .all(app.db.read())
        .await?;
    let seen = last_seen(app, &rows).await;
    let session = |(row, seen): (_, Option<i64>)| Session {
        row,
        last_active_at: seen.and_then(|seen| DateTime::from_timestamp(seen, 0)),
    };
    Ok(rows.into_iter().zip(seen).map(session).collect())
}

/// When each was last in use, in seconds since 1970, as far as Redis knows.
async fn last_seen(app: &App, rows: &[session::Model]) -> Vec<Option<i64>> {
    let keys: Vec<String> = rows.iter().map(|row| app.redis.keys().user_session(row.id)).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let seen = app.redis.query(async |mut redis| redis.mget(keys).await).await;
    seen.unwrap_or_else(|_| vec![None; rows.len()])
}

/// Ends one of the user's sessions.
///
/// # Errors
/// [`Error::NotFound`] when the user has no such open session.
pub async fn end(app: &App, user_id: i64, id: Uuid) -> Result<()> {
    let ended = app
        .db
        .write()
        .execute_raw(sql(
            app.db.write(),
            "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL",
            [id.into(), user_id.into(), at(app.clock.now())],
        ))
        .await?;
    forget(app, &[id]).await;
    if ended.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound("session")) }
}

/// Ends all sessions of the user in the caller's transaction, to be [forgotten](forget) after its commit.
pub(super) async fn end_all(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    user_id: i64,
) -> Result<Vec<Uuid>> {
    let text = "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL RETURNING id";
    let rows = db.query_all_raw(sql(db, text, [user_id.into(), at(now)])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}

/// Drops ended sessions from Redis.
pub(super) async fn forget(app: &App, ids: &[Uuid]) {
    if ids.is_empty() {
        return;
    }
    let keys = app.redis.keys();
    let keys: Vec<String> = ids.iter().flat_map(|id| [keys.session(*id), keys.user_session(*id)]).collect();
    let forgotten: redis::RedisResult<()> = app.redis.query(async |mut redis| redis.del(keys).await).await;
    if let Err(error) = forgotten {
        tracing::debug!(%error, "sessions not dropped from Redis; they end there within a second");
    }
}
