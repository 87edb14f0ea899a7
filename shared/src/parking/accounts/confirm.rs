//! Confirming a change of one's own account with the current password.

use super::{
    password::{self, Match, Priority},
    user::User,
};
use crate::{
    base::error::{Error, Result},
    platform::metrics,
};

/// Passes if this is the user's password. The caller counts the attempt.
///
/// # Errors
/// [`Error::Unconfirmed`].
pub(super) async fn confirm(user: &User, current_password: Option<String>) -> Result<()> {
    let Some(password) = current_password else {
        return Err(Error::Unconfirmed {
            code: "current_password_required",
            message: "send your current_password to change your password, mail address or phone number, or to delete your account",
        });
    };
    if password::verify(Priority::Other, password, Some(user.password_hash.clone())).await? == Match::No {
        metrics::record_event(metrics::LOGIN_REFUSED);
        return Err(Error::Unconfirmed {
            code: "wrong_current_password",
            message: "the current password is wrong",
        });
    }
    Ok(())
}
