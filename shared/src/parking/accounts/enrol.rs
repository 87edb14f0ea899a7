//! Turning the second factor of an account on and off.

use serde_json::json;

use super::{confirm, find::by_id, guard::Attempt};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object},
        second_factor::{self, RECOVERY_CODES, accept, base32, normalized, recovery_code, require_fresh},
    },
};

/// What an authenticator app needs.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// In base 32.
    pub secret: String,
    /// The same as a link, usually shown as a QR code.
    pub url: String,
}

const IS_ON: &str = "the second factor is on already; turn it off first";

/// Makes a secret for the user's authenticator app. It counts once a code of it is sent.
///
/// # Errors
/// [`Error::Unconfirmed`] without the current password; [`Error::Conflict`] if there is a second factor.
pub async fn begin_second_factor(
    app: &App,
    who: &Identity,
    current_password: Option<String>,
) -> Result<Enrolment> {
    let user = by_id(app, who.user_id).await?;
    let attempt = Attempt::begin(app, &user.email, who.address).await?;
    confirm::confirm(&user, current_password).await?;
    attempt.succeeded().await;
    if second_factor::status(app.db.read(), user.id).await?.is_on {
        return Err(Error::conflict("second_factor_on", IS_ON));
    }
    let secret = second_factor::insert(app.db.write(), &app.keys, app.clock.now(), user.id).await?;
    Ok(Enrolment::of(&user.email, base32(&secret)?))
}

/// What an authenticator app needs for a secret that the user has been given.
///
/// # Errors
/// [`Error::Invalid`] for a text that cannot be a secret.
pub async fn enrolment(app: &App, who: &Identity, secret: &str) -> Result<Enrolment> {
    let is_base32 = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
    if !(1..=64).contains(&secret.len()) || !secret.chars().all(is_base32) {
        return Err(Error::invalid("/secret", "must be the secret that was shown"));
    }
    Ok(Enrolment::of(&by_id(app, who.user_id).await?.email, secret.to_owned()))
}

impl Enrolment {
    fn of(email: &str, secret: String) -> Self {
        let account = percent_encoding::utf8_percent_encode(email, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("otpauth://totp/Parkade:{account}?secret={secret}&issuer=Parkade");
        Self { secret, url }
    }
}

/// Turns the second factor on with its first code, and returns the recovery codes. They are shown once.
///
/// # Errors
/// [`Error::Unconfirmed`] for a wrong code; [`Error::Conflict`] if it is on; [`Error::RateLimited`].
pub async fn confirm_second_factor(app: &App, who: &Identity, code: &str) -> Result<Vec<String>> {
    if second_factor::status(app.db.write(), who.user_id).await?.is_on {
        return Err(Error::conflict("second_factor_on", IS_ON));
    }
    accept(app, who.user_id, code).await?;
    let (mut change, now) = (Change::begin(app).await?, app.clock.now());
    if !second_factor::set_confirmed(change.tx(), now, who.user_id).await? {
        return Err(Error::conflict("second_factor_on", IS_ON));
    }
    let codes = new_codes(&mut change, app, who.user_id).await?;
    record(&mut change, app, &who.into(), Action::SecondFactorOn, who.user_id).await?;
    change.commit().await?;
    Ok(codes)
}

async fn new_codes(change: &mut Change, app: &App, user_id: i64) -> Result<Vec<String>> {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    for code in &codes {
        second_factor::add_recovery_code(change.tx(), &app.keys, user_id, &normalized(code)).await?;
    }
    Ok(codes)
}

/// Replaces the user's recovery codes, and returns the new ones. They are shown once.
///
/// # Errors
/// As [`require_fresh`]; [`Error::Conflict`] if the second factor is off.
pub async fn renew_recovery_codes(app: &App, who: &Identity) -> Result<Vec<String>> {
    require_fresh(app, who).await?;
    let mut change = Change::begin(app).await?;
    if !second_factor::lock(change.tx(), who.user_id).await? {
        return Err(is_off());
    }
    second_factor::remove_recovery_codes(change.tx(), who.user_id).await?;
    let codes = new_codes(&mut change, app, who.user_id).await?;
    change.commit().await?;
    Ok(codes)
}

fn is_off() -> Error {
    Error::conflict("second_factor_off", "this account has no second factor")
}

/// Turns the user's own second factor off.
///
/// # Errors
/// As [`require_fresh`]; [`Error::Conflict`] if it is off.
pub async fn remove_second_factor(app: &App, who: &Identity) -> Result<()> {
    require_fresh(app, who).await?;
    if turn_off(app, &who.into(), who.user_id).await? {
        return Ok(());
    }
    Err(is_off())
}

/// Turns off the second factor of a user who has lost their device.
///
/// # Errors
/// As [`require_fresh`], of the administrator; [`Error::NotFound`] if there is none.
pub async fn remove_second_factor_of(app: &App, who: &Identity, user_id: i64) -> Result<()> {
    require_fresh(app, who).await?;
    if turn_off(app, &who.into(), user_id).await? { Ok(()) } else { Err(Error::NotFound("second factor")) }
}

async fn turn_off(app: &App, by: &Actor, user_id: i64) -> Result<bool> {
    let mut change = Change::begin(app).await?;
    if !second_factor::remove(change.tx(), user_id).await? {
        return Ok(false);
    }
    record(&mut change, app, by, Action::SecondFactorOff, user_id).await?;
    change.commit().await?;
    Ok(true)
}

async fn record(change: &mut Change, app: &App, by: &Actor, action: Action, user_id: i64) -> Result<()> {
    let object = Object::User(user_id);
    audit::record(change.tx(), app.clock.now(), by, action, object, &json!({})).await
}
