//! A new password for a user who has forgotten theirs, by a token that is mailed to them.

use std::net::IpAddr;

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    account::Validator,
    address::by_token,
    find::{by_email, digest, mail_key},
    password::{self, Priority},
    session, user,
};
use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object, Origin},
        notifications,
        tokens::{self, Kind},
    },
    platform::{
        cache::Group,
        db::{retry_on_conflict, sql},
        rate_limit,
    },
};

/// Mails a link that sets a new password. For an unknown address, a job that sends nothing is enqueued, so that the answer
/// takes as long.
///
/// # Errors
/// [`Error::RateLimited`](crate::Error::RateLimited), whether or not the address has an account.
pub async fn forgot_password(app: &App, email: &str) -> Result<()> {
    app.limits
        .check(rate_limit::Action::PasswordReset, &format!("account:{}", digest(&mail_key(email))))
        .await?;
    let user_id = by_email(app, email).await?.map(|user| user.id);
    let mut change = Change::begin(app).await?;
    change.enqueue(&notifications::password_reset(user_id, app.clock.now())?).await?;
    change.commit().await
}

/// Sets a new password, and ends all sessions of the user. The token also proves that the mail address is theirs.
///
/// # Errors
/// As [`by_token`]; [`Error::Invalid`](crate::Error::Invalid) for a password that is too easy to guess, which leaves the
/// token valid.
pub async fn reset_password(app: &App, token: &str, password: &str, address: Option<IpAddr>) -> Result<()> {
    let user = by_token(app, &[Kind::PasswordReset], token).await?;
    let mut validator = Validator::new(app.config.phone_country);
    let password = validator.password(password);
    validator.strength(&password, &user.known_texts()).await?;
    let hash = password::hash(Priority::Other, validator.finish(password)?).await?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let (tx, now) = (change.tx(), app.clock.now());
        user::lock(tx, user.id).await?;
        // Two requests with one token take turns at the lock.
        tokens::use_up(tx, now, Kind::PasswordReset, user.id, token).await?;
        tokens::revoke_all(tx, now, user.id).await?;
        let text = "UPDATE users SET password_hash = $2, email_verified = TRUE WHERE id = $1";
        tx.execute_raw(sql(tx, text, [user.id.into(), hash.clone().into()])).await?;
        session::end_all(&mut change, now, user.id).await?;
        change.enqueue(&notifications::password_changed(user.id, now)?).await?;
        let by = Actor { user_id: None, origin: Origin::Request(address) };
        let object = Object::User(user.id);
        audit::record(change.tx(), now, &by, Action::PasswordReset, object, &json!({})).await?;
        change.invalidates([Group::Users, Group::User(user.id)]);
        change.commit().await
    })
    .await?;
    tracing::info!(user.id, "password reset");
    Ok(())
}
