//! Confirming a change of one's own account with the current password.

use super::{
    find::{digest, mail_key},
    password::{self, Match},
    user::User,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    platform::{metrics, rate_limit::Action},
};

/// Counts an attempt to guess the password among the logins to the account.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn count_attempt(app: &App, user: &User) -> Result<()> {
    app.limits.check(Action::Login, &format!("account:{}", digest(&mail_key(&user.email)))).await
}

/// Passes if this is the user's password.
///
/// # Errors
/// [`Error::Unconfirmed`].
pub(super) async fn confirm(user: &User, current_password: Option<String>) -> Result<()> {
    let Some(password) = current_password else {
        return Err(Error::Unconfirmed {
            code: "current_password_required",
            message: "send your current_password to change your password, mail address or phone number",
        });
    };
    if password::verify(password, Some(user.password_hash.clone())).await? == Match::No {
        metrics::record_event(metrics::LOGIN_REFUSED);
        return Err(Error::Unconfirmed {
            code: "wrong_current_password",
            message: "the current password is wrong",
        });
    }
    Ok(())
}
