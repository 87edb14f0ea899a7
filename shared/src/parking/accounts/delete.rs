//! Deletion of an account: its sessions and reservations end, personal data is erased, bookings and payments stay.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};
use serde_json::json;

use super::{account::Role, confirm::confirm, find::by_id, guard::Attempt, session, user};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object},
        bookings, exports, second_factor,
    },
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, retry_on_conflict, sql},
    },
};

/// Deletes a user: ends their sessions, cancels their reservations, bills a running session as if they left now, and
/// erases their personal data. Bookings and bills stay, under a placeholder name.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for an administrator.
pub async fn delete(app: &App, by: &Actor, id: i64) -> Result<()> {
    delete_if(app, by, id, None).await.map(drop)
}

/// As [`delete`], on the order of an administrator.
///
/// # Errors
/// As [`delete`]; [`Error::Unconfirmed`] if the administrator has a second factor and has not sent a code lately.
pub async fn delete_as(app: &App, who: &Identity, id: i64) -> Result<()> {
    second_factor::require_fresh(app, who).await?;
    delete(app, &who.into(), id).await
}

/// As [`delete`], of the caller's own account.
///
/// # Errors
/// As [`delete`]; [`Error::Unconfirmed`] without the current password, or if the user has a second factor and has not sent a code
/// lately; [`Error::RateLimited`] for too many wrong passwords.
pub async fn delete_own(app: &App, who: &Identity, current_password: Option<String>) -> Result<()> {
    let user = by_id(app, who.user_id).await?;
    let attempt = Attempt::begin(app, &user.email, who.address).await?;
    confirm(&user, current_password).await?;
    attempt.succeeded().await;
    second_factor::require_fresh(app, who).await?;
    delete(app, &who.into(), who.user_id).await
}

/// A query and its values.
pub(super) type Condition = (String, Vec<Value>);

/// As [`delete`], if the condition finds a row once the user is locked. Returns whether it did.
pub(super) async fn delete_if(app: &App, by: &Actor, id: i64, condition: Option<&Condition>) -> Result<bool> {
    let is_deleted = retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let now = app.clock.now();
        let user = user::lock(change.tx(), id).await?;
        if let Some((text, values)) = condition
            && change.tx().query_one_raw(sql(change.tx(), text, values.clone())).await?.is_none()
        {
            return Ok(false);
        }
        if user.role() == Role::Admin {
            return Err(Error::Forbidden("an administrator cannot be deleted; take the role away first"));
        }
        bookings::end_all(change.tx(), now, id).await?;
        exports::withdraw_all(change.tx(), now, id).await?;
        session::end_all(&mut change, now, id).await?;
        delete_stored_answers(change.tx(), &user.email).await?;
        erase(change.tx(), now, id).await?;
        audit::record(change.tx(), now, by, Action::UserDeleted, Object::User(id), &json!({})).await?;
        change.invalidates([Group::Users, Group::User(id), Group::Occupancy]);
        change.counts(Event::UserDeleted);
        change.commit().await?;
        Ok(true)
    })
    .await?;
    if is_deleted {
        app.counters.mark_inactive(id);
    }
    Ok(is_deleted)
}

/// The answer that is stored for whoever created the account contains the address.
async fn delete_stored_answers(tx: &Transaction, email: &str) -> Result<()> {
    let member = serde_json::to_string(email).map_err(anyhow::Error::new)?;
    let text = "DELETE FROM idempotency_keys WHERE REPLACE(body, $1, '') <> body";
    tx.execute_raw(sql(tx, text, [format!("\"email\":{member}").into()])).await?;
    Ok(())
}

/// Errors are erased, too, because mail servers repeat the address in their answers. The user's own row comes last:
/// its update waits for all transactions that refer to it, and they may wait for the other rows.
async fn erase(tx: &Transaction, now: DateTime<Utc>, id: i64) -> Result<()> {
    for text in [
        "UPDATE sessions SET user_agent = NULL WHERE user_id = $1",
        "UPDATE email_deliveries SET error = NULL WHERE user_id = $1 AND error IS NOT NULL",
        "UPDATE jobs SET error = NULL WHERE owner_id = $1 AND error IS NOT NULL",
        "DELETE FROM idempotency_keys WHERE user_id = $1",
        "DELETE FROM account_tokens WHERE user_id = $1",
        "DELETE FROM known_addresses WHERE user_id = $1",
        "DELETE FROM second_factors WHERE user_id = $1",
        "DELETE FROM recovery_codes WHERE user_id = $1",
        "DELETE FROM vehicles WHERE user_id = $1",
        "DELETE FROM attendant_lots WHERE user_id = $1",
        "DELETE FROM phone_codes WHERE user_id = $1",
        "UPDATE reservations SET plate = NULL, plate_key = NULL WHERE user_id = $1 AND plate IS NOT NULL",
    ] {
        tx.execute_raw(sql(tx, text, [id.into()])).await?;
    }
    // The leading blank keeps the keys from colliding with those of other users, which are trimmed.
    let (username, email) = (format!("deleted-{id}"), format!("deleted-{id}@deleted.invalid"));
    tx.execute_raw(sql(
        tx,
        "UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, password_hash = 'deleted',
            name_key = NULL, mail_key = NULL, phone_key = NULL, vehicle_number = NULL, phone_number = NULL, phone_verified_at = NULL,
            is_attendant = FALSE, deleted_at = $6
         WHERE id = $1",
        [
            id.into(),
            username.clone().into(),
            format!(" {username}").into(),
            email.clone().into(),
            format!(" {email}").into(),
            at(now),
        ],
    ))
    .await?;
    Ok(())
}
