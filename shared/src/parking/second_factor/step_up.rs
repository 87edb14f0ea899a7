//! Confirming a session with a fresh code, for what does most harm in the wrong hands.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use super::{accept::accept, store};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    platform::db::{at, sql},
};

/// How long a code counts for its session.
const FRESH_FOR: TimeDelta = TimeDelta::minutes(5);

/// Passes if the caller has no second factor, or has sent a code in this session lately.
///
/// # Errors
/// [`Error::Unconfirmed`].
pub async fn require_fresh(app: &App, who: &Identity) -> Result<()> {
    let db = app.db.write();
    if !store::find(db, who.user_id).await?.is_some_and(|factor| factor.is_confirmed) {
        return Ok(());
    }
    let text = "SELECT 1 FROM sessions WHERE id = $1 AND confirmed_at > $2";
    let values = [who.session_id.into(), at(app.clock.now() - FRESH_FOR)];
    if db.query_one_raw(sql(db, text, values)).await?.is_some() {
        return Ok(());
    }
    Err(Error::Unconfirmed {
        code: "second_factor_required",
        message: "confirm this with a code of your second factor: POST /api/auth/second-factor/verify",
    })
}

/// Confirms the caller's session with a code, for five minutes.
///
/// # Errors
/// [`Error::Unconfirmed`] for a wrong code; [`Error::Conflict`] if the caller has no second factor; [`Error::RateLimited`].
pub async fn verify(app: &App, who: &Identity, code: &str) -> Result<()> {
    if !store::find(app.db.read(), who.user_id).await?.is_some_and(|factor| factor.is_confirmed) {
        return Err(Error::conflict("second_factor_off", "this account has no second factor"));
    }
    accept(app, who.user_id, code).await?;
    let (db, text) = (app.db.write(), "UPDATE sessions SET confirmed_at = $2 WHERE id = $1");
    db.execute_raw(sql(db, text, [who.session_id.into(), at(app.clock.now())])).await?;
    Ok(())
}
