//! Accepting a code: each one once, and few wrong ones.

use std::time::Duration;

use super::{
    code::{normalized, step_of},
    store,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    platform::rate_limit::{Action, Budget},
};

/// Wrong codes of a user. Whoever gets here knows the password.
const TRIES: Budget = Budget { calls: 5, window: Duration::from_mins(15) };

/// Checks the code of a user who logs in with the right password. Returns whether one was needed.
///
/// # Errors
/// [`Error::Unconfirmed`] without a code or for a wrong one; [`Error::RateLimited`].
pub(in crate::parking) async fn check_login(app: &App, user_id: i64, code: Option<&str>) -> Result<bool> {
    let factor = store::find(app.db.read(), user_id).await?;
    if !factor.is_some_and(|factor| factor.is_confirmed) {
        return Ok(false);
    }
    let Some(code) = code else {
        return Err(Error::Unconfirmed {
            code: "second_factor_required",
            message: "this account has a second factor; send the code, too",
        });
    };
    accept(app, user_id, code).await?;
    Ok(true)
}

/// Passes if this is a code of the user's second factor that was not used before, or one of the recovery codes.
///
/// # Errors
/// [`Error::Unconfirmed`] if it is not; [`Error::Conflict`] if the user has no second factor; [`Error::RateLimited`].
pub(in crate::parking) async fn accept(app: &App, user_id: i64, code: &str) -> Result<()> {
    let Some(factor) = store::find(app.db.write(), user_id).await? else {
        return Err(Error::conflict("second_factor_off", "this account has no second factor"));
    };
    let caller = format!("code:{user_id}");
    let decision = app.limits.take_within(Action::Login, TRIES, &caller).await;
    if !decision.allowed {
        return Err(app.limits.rejection(decision.retry_after));
    }
    let now = app.clock.now().timestamp().unsigned_abs();
    for secret in factor.secrets(&app.keys, user_id)? {
        if let Some(step) = step_of(&secret, code, now)?
            && store::use_step(app.db.write(), user_id, step).await?
        {
            app.limits.give_back_within(Action::Login, TRIES, &caller).await;
            return Ok(());
        }
    }
    let recovery = normalized(code);
    if factor.is_confirmed && store::use_recovery_code(app.db.write(), &app.keys, user_id, &recovery).await? {
        app.limits.give_back_within(Action::Login, TRIES, &caller).await;
        tracing::info!(user.id = user_id, "a recovery code was used");
        return Ok(());
    }
    Err(Error::Unconfirmed { code: "wrong_code", message: "the code is wrong, or was used before" })
}
