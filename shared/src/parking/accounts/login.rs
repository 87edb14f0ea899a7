//! Login by mail address and password, and logout.

use sea_orm::ConnectionTrait;

use super::{
    account::normalized,
    find::{by_email, digest},
    password, session,
    user::User,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::activity,
    platform::{
        counters::Event,
        db::{at, sql},
        metrics,
        rate_limit::Action,
    },
};

/// A user and the token of their new session.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The user.
    pub user: User,
    /// Authenticates requests.
    pub token: String,
}

/// Logs in.
///
/// # Errors
/// [`Error::WrongCredentials`], the same for an unknown address and a wrong password.
pub async fn log_in(
    app: &App,
    email: &str,
    password: String,
    user_agent: Option<String>,
) -> Result<LoggedIn> {
    app.limits.check(Action::Login, &format!("account:{}", digest(&normalized(email)))).await?;
    let user = by_email(app, email).await?;
    let is_right = password::verify(password, user.as_ref().map(|user| user.password_hash.clone())).await?;
    let user = user.filter(|_| is_right).ok_or_else(rejected)?;
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    // This comes first: it waits for a transaction that changes the password or deletes the user, and ends all sessions.
    let updated = change
        .tx()
        .execute_raw(sql(
            change.tx(),
            "UPDATE users SET last_login_at = $2 WHERE id = $1 AND password_hash = $3 AND deleted_at IS NULL",
            [user.id.into(), at(now), user.password_hash.clone().into()],
        ))
        .await?;
    if updated.rows_affected() == 0 {
        return Err(rejected());
    }
    let token = session::open(app, change.tx(), user.id, user_agent).await?;
    activity::record(change.tx(), now, user.id, activity::Kind::Login, None).await?;
    change.counts(Event::Login);
    change.commit().await?;
    app.counters.mark_active(user.id);
    Ok(LoggedIn { user, token })
}

fn rejected() -> Error {
    metrics::record_event(metrics::LOGIN_REFUSED);
    Error::WrongCredentials
}

/// Ends the caller's session.
///
/// # Errors
/// [`Error::NotFound`] if it has already ended.
pub async fn log_out(app: &App, who: &Identity) -> Result<()> {
    let mut change = Change::begin(app).await?;
    session::end_in(&mut change, app.clock.now(), who.user_id, who.session_id).await?;
    change.counts(Event::Logout);
    change.commit().await?;
    app.counters.mark_inactive(who.user_id);
    Ok(())
}
