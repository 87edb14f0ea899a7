//! Opening, extending and ending sessions.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ConnectionTrait};
use serde_json::json;
use uuid::Uuid;

use super::token;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        accounts::find::by_id,
        audit::{self, Action, Actor, Object},
    },
    platform::{
        db::{at, sql},
        entities::session,
    },
};

/// Who logs in, as far as their request says.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Where the request comes from.
    pub address: Option<IpAddr>,
    /// The program.
    pub user_agent: Option<String>,
}

/// Opens a session in the caller's transaction and returns its token.
pub async fn open(
    app: &App,
    db: &impl ConnectionTrait,
    user_id: i64,
    user_agent: Option<String>,
) -> Result<String> {
    open_confirmed(app, db, user_id, user_agent, None).await
}

/// As [`open`], by a login that was confirmed with a second factor.
pub(in crate::parking::accounts) async fn open_confirmed(
    app: &App,
    db: &impl ConnectionTrait,
    user_id: i64,
    user_agent: Option<String>,
    confirmed_at: Option<DateTime<Utc>>,
) -> Result<String> {
    let now = app.clock.now();
    let row = session::Model {
        id: Uuid::now_v7(),
        user_id,
        user_agent: user_agent.map(|text| text.chars().take(200).collect()),
        created_at: now,
        expires_at: now + app.config.session_lifetime,
        ended_at: None,
        confirmed_at,
    };
    let token = token::sign(app, user_id, row.id, now, row.expires_at)?;
    session::ActiveModel::from(row).insert(db).await?;
    Ok(token)
}

/// Extends the caller's session, at most to its longest lifetime, and returns a new token for it.
///
/// # Errors
/// [`Error::Unauthenticated`] if the session has ended.
pub async fn refresh(app: &App, who: &Identity) -> Result<String> {
    const ENDED: Error = Error::Unauthenticated("the session has ended; log in again");
    let (db, now) = (app.db.write(), app.clock.now());
    let text = "SELECT created_at FROM sessions WHERE id = $1";
    let row = db.query_one_raw(sql(db, text, [who.session_id.into()])).await?.ok_or(ENDED)?;
    let created_at: DateTime<Utc> = row.try_get("", "created_at")?;
    let last = created_at + app.config.session_max.max(app.config.session_lifetime);
    let expires_at = last.min(now + app.config.session_lifetime);
    let text = "UPDATE sessions SET expires_at = $2 WHERE id = $1 AND ended_at IS NULL AND expires_at > $3";
    let extended = db.execute_raw(sql(db, text, [who.session_id.into(), at(expires_at), at(now)])).await?;
    if extended.rows_affected() == 0 {
        return Err(ENDED);
    }
    token::sign(app, who.user_id, who.session_id, now, expires_at)
}

/// Ends one of the user's sessions.
///
/// # Errors
/// [`Error::NotFound`] if the user has no such open session.
pub async fn end(app: &App, user_id: i64, id: Uuid) -> Result<()> {
    let mut change = Change::begin(app).await?;
    end_in(&mut change, app.clock.now(), user_id, id).await?;
    change.commit().await
}

/// Ends all sessions of the caller but this one.
pub async fn end_every_other(app: &App, who: &Identity) -> Result<()> {
    let mut change = Change::begin(app).await?;
    end_others(&mut change, app.clock.now(), who.user_id, who.session_id).await?;
    change.commit().await
}

/// Ends all sessions of a user on the order of an administrator.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn end_all_of(app: &App, by: &Actor, user_id: i64) -> Result<()> {
    by_id(app, user_id).await?;
    let (mut change, now) = (Change::begin(app).await?, app.clock.now());
    end_all(&mut change, now, user_id).await?;
    let (action, object) = (Action::SessionsEnded, Object::User(user_id));
    audit::record(change.tx(), now, by, action, object, &json!({})).await?;
    change.commit().await
}

/// As [`end`], as a part of a larger change.
pub(in crate::parking::accounts) async fn end_in(
    change: &mut Change,
    now: DateTime<Utc>,
    user_id: i64,
    id: Uuid,
) -> Result<()> {
    let text = "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL";
    let ended = change.tx().execute_raw(sql(change.tx(), text, [id.into(), user_id.into(), at(now)])).await?;
    if ended.rows_affected() == 0 {
        return Err(Error::NotFound("session"));
    }
    change.ends_sessions([id]);
    Ok(())
}

/// Ends all sessions of the user.
pub(in crate::parking::accounts) async fn end_all(
    change: &mut Change,
    now: DateTime<Utc>,
    user_id: i64,
) -> Result<()> {
    end_others(change, now, user_id, Uuid::nil()).await
}

/// Ends all sessions of the user but this one.
pub(in crate::parking::accounts) async fn end_others(
    change: &mut Change,
    now: DateTime<Utc>,
    user_id: i64,
    kept: Uuid,
) -> Result<()> {
    let text = "UPDATE sessions SET ended_at = $2
         WHERE user_id = $1 AND ended_at IS NULL AND id <> $3 RETURNING id";
    let values = [user_id.into(), at(now), kept.into()];
    let rows = change.tx().query_all_raw(sql(change.tx(), text, values)).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    change.ends_sessions(ids);
    Ok(())
}
