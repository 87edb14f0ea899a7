//! A new mail address of a user counts once it is verified, and the old one can be restored for three days.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::json;

use super::{
    conflict::{conflict, email_taken},
    find::{by_id, mail_key},
    session, user,
    user::User,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object, Origin},
        notifications,
        tokens::{self, Kind, New},
    },
    platform::{
        cache::Group,
        db::{Transaction, retry_on_conflict},
        entities, rate_limit,
    },
};

/// How long the old address can be restored.
const UNDO_FOR: TimeDelta = TimeDelta::hours(72);

/// Counts a mail to an address that may not be the user's.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn count_mail(app: &App, user_id: i64) -> Result<()> {
    app.limits.check(rate_limit::Action::PasswordReset, &format!("verification:{user_id}")).await
}

/// Holds a new address of a locked user until it is verified, and mails the link.
///
/// # Errors
/// [`Error::Conflict`] if the address is taken.
pub(super) async fn hold(
    change: &mut Change,
    now: DateTime<Utc>,
    user: &mut User,
    address: &str,
) -> Result<()> {
    must_be_free(change.tx(), now, address, Some(user.id)).await?;
    tokens::revoke_changes(change.tx(), now, user.id).await?;
    user.pending_email = Some(address.to_owned());
    change.enqueue(&notifications::verification(user.id)?).await?;
    Ok(())
}

/// # Errors
/// [`Error::Conflict`] if the address belongs to another account, or belonged to one that can get it back.
pub(super) async fn must_be_free(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    address: &str,
    user_id: Option<i64>,
) -> Result<()> {
    use entities::user::{Column, Entity};

    let others = Entity::find()
        .filter(Condition::any().add(Column::MailKey.eq(address)).add(Column::EmailKey.eq(address)))
        .filter(Column::Id.ne(user_id.unwrap_or_default()));
    if others.count(db).await? > 0 || tokens::is_reserved(db, now, address, user_id).await? {
        return Err(email_taken());
    }
    Ok(())
}

/// Replaces the address of a locked user by the verified one, and tells the old address. One that was never verified may be
/// somebody else's, so it is not told and cannot be restored.
pub(super) async fn replace(app: &App, change: &mut Change, user: User, address: String) -> Result<()> {
    let now = app.clock.now();
    must_be_free(change.tx(), now, &address, Some(user.id)).await?;
    let (id, old, was_verified) = (user.id, mail_key(&user.email), user.email_verified);
    store(change.tx(), user, address).await?;
    tokens::revoke_all(change.tx(), now, id).await?;
    if was_verified {
        let job = change.enqueue(&notifications::address_changed(id, now)?).await?;
        let (kind, expires_at) = (Kind::EmailUndo, now + UNDO_FOR);
        let new = New { job, kind, user_id: id, address: Some(&old), expires_at };
        tokens::issue(&app.keys, change.tx(), now, new).await?;
    }
    // Whoever has the link from the mail.
    let by = Actor { user_id: None, origin: Origin::Request(None) };
    audit::record(change.tx(), now, &by, Action::AddressChanged, Object::User(id), &json!({})).await?;
    change.invalidates([Group::Users, Group::User(id)]);
    Ok(())
}

/// Restores the address before a change, ends all sessions, and mails a link that sets a new password.
///
/// # Errors
/// [`Error::Gone`] if the token is not valid, or not any more.
pub async fn undo_email_change(app: &App, token: &str) -> Result<()> {
    let id = by_token(app, &[Kind::EmailUndo], token).await?.id;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let now = app.clock.now();
        let user = user::lock(change.tx(), id).await?;
        let used = tokens::use_up(change.tx(), now, Kind::EmailUndo, id, token).await?;
        let address = used.address.ok_or_else(|| Error::Permanent("a token without an address".into()))?;
        store(change.tx(), user, address).await?;
        tokens::revoke_all(change.tx(), now, id).await?;
        session::end_all(&mut change, now, id).await?;
        change.enqueue(&notifications::password_reset(Some(id), now)?).await?;
        let by = Actor { user_id: None, origin: Origin::Request(None) };
        let details = json!({ "undone": true });
        audit::record(change.tx(), now, &by, Action::AddressChanged, Object::User(id), &details).await?;
        change.invalidates([Group::Users, Group::User(id)]);
        change.commit().await
    })
    .await?;
    tracing::info!(user.id = id, "the mail address was restored");
    Ok(())
}

/// Mails the link that verifies the address of the user once more.
///
/// # Errors
/// [`Error::Conflict`] if there is nothing to verify; [`Error::RateLimited`].
pub async fn resend_verification(app: &App, user_id: i64) -> Result<()> {
    let user = by_id(app, user_id).await?;
    if user.email_verified && user.pending_email.is_none() {
        return Err(Error::conflict("already_verified", "your mail address is verified"));
    }
    count_mail(app, user_id).await?;
    let mut change = Change::begin(app).await?;
    change.enqueue(&notifications::verification(user_id)?).await?;
    change.commit().await
}

/// The user to whom this token was mailed.
///
/// # Errors
/// [`Error::Gone`] if it is not valid, or not any more.
pub async fn by_token(app: &App, kinds: &[Kind], token: &str) -> Result<User> {
    by_id(app, tokens::find(app.db.read(), app.clock.now(), kinds, token).await?.user_id).await
}

/// An address that was proven to be the user's.
async fn store(tx: &Transaction, user: User, address: String) -> Result<()> {
    let user = User {
        email: address.clone(),
        email_key: address.clone(),
        mail_key: Some(address),
        email_verified: true,
        pending_email: None,
        ..user
    };
    entities::user::ActiveModel::from(user).reset_all().update(tx).await.map_err(conflict)?;
    Ok(())
}
