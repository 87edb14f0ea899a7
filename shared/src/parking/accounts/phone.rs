//! Proving one's phone number with a code that is sent to it.

use sea_orm::ConnectionTrait;

use super::{
    find::by_id,
    user::{self, User},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{notifications, phone_codes},
    platform::{
        cache::Group,
        db::{at, retry_on_conflict, sql},
        rate_limit::Action,
    },
};

/// Sends a code to the caller's phone number.
///
/// # Errors
/// [`Error::Conflict`] if there is nothing to verify or no account for SMS; [`Error::RateLimited`] by address, beside the
/// limit of the account.
pub async fn send_phone_code(app: &App, who: &Identity) -> Result<()> {
    if app.config.notifications.sms.is_none() {
        return Err(Error::conflict("no_sms", "this installation sends no SMS"));
    }
    number_to_verify(&by_id(app, who.user_id).await?)?;
    if let Some(address) = who.address {
        app.limits.check(Action::PhoneCode, &format!("address:{address}")).await?;
    }
    let mut change = Change::begin(app).await?;
    change.enqueue(&notifications::phone_code(who.user_id)?).await?;
    change.commit().await
}

fn number_to_verify(user: &User) -> Result<&str> {
    match (&user.phone_number, user.phone_verified_at) {
        (None, _) => {
            Err(Error::conflict("no_phone_number", "your account has no phone number; add one first"))
        }
        (_, Some(_)) => Err(Error::conflict("already_verified", "your phone number is verified")),
        (Some(number), None) => Ok(number),
    }
}

/// Marks the caller's phone number as verified, if this is the code that was sent to it.
///
/// # Errors
/// As [`phone_codes::check`]; [`Error::Conflict`] if there is nothing to verify.
pub async fn verify_phone(app: &App, who: &Identity, code: &str) -> Result<()> {
    let user = by_id(app, who.user_id).await?;
    let number = number_to_verify(&user)?;
    phone_codes::check(app, who.user_id, number, code).await?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        if user::lock(change.tx(), who.user_id).await?.phone_number.as_deref() != Some(number) {
            return Err(Error::conflict(
                "phone_changed",
                "the phone number has just been changed; request another code",
            ));
        }
        let text = "UPDATE users SET phone_verified_at = $2 WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [who.user_id.into(), at(app.clock.now())])).await?;
        phone_codes::remove_all(change.tx(), who.user_id).await?;
        change.invalidates([Group::Users, Group::User(who.user_id)]);
        change.commit().await
    })
    .await
}
