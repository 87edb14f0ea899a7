//! The end of an account: what runs is closed, who it was is erased, and what was paid stays.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{Role, lock, session};
use crate::{
    app::App,
    base::error::{Error, Result},
    parking::{bookings, exports},
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, retry_on_conflict, sql},
    },
};

/// Deletes a user who is no administrator: ends their sessions, gives up what they reserved, bills what they have
/// running as if they left now, and erases who they were. Bookings and bills stay, under a name that says nothing.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for an administrator.
pub async fn delete(app: &App, id: i64) -> Result<()> {
    let ended = retry_on_conflict(|| try_to_delete(app, id)).await?;
    session::forget(app, &ended).await;
    app.counters.record(Event::UserDeleted);
    app.counters.mark_inactive(id);
    app.cache.invalidate(&[Group::Users, Group::User(id), Group::Occupancy]).await;
    Ok(())
}

/// The sessions that have ended.
async fn try_to_delete(app: &App, id: i64) -> Result<Vec<Uuid>> {
    let tx = app.db.begin().await?;
    let now = app.clock.now();
    let user = lock(&tx, id).await?;
    if user.role == Role::Admin.as_str() {
        return Err(Error::Forbidden("an administrator cannot be deleted; take the role away first"));
    }
    bookings::close_all(&tx, now, id).await?;
    exports::withdraw_all(&tx, now, id).await?;
    let ended = session::end_all(&tx, now, id).await?;
    forget_answers(&tx, &user.email).await?;
    erase(&tx, now, id).await?;
    tx.commit().await?;
    Ok(ended)
}

/// The kept answer to whoever opened the account tells who it was.
async fn forget_answers(tx: &Transaction, email: &str) -> Result<()> {
    let member = serde_json::to_string(email).map_err(anyhow::Error::new)?;
    let text = "DELETE FROM idempotency_keys WHERE REPLACE(body, $1, '') <> body";
    tx.execute_raw(sql(tx, text, [format!("\"email\":{member}").into()])).await?;
    Ok(())
}

/// Mail servers repeat the address in what they answer, so that goes, too. The user's own row is the last, because
/// it waits for everybody who refers to it, and they may be waiting for the others.
async fn erase(tx: &Transaction, now: DateTime<Utc>, id: i64) -> Result<()> {
    for text in [
        "UPDATE sessions SET user_agent = NULL WHERE user_id = $1",
        "UPDATE email_deliveries SET error = NULL WHERE user_id = $1 AND error IS NOT NULL",
        "UPDATE jobs SET error = NULL WHERE owner_id = $1 AND error IS NOT NULL",
    ] {
        tx.execute_raw(sql(tx, text, [id.into()])).await?;
    }
    // Keys of the living are trimmed: with a blank in front, nobody can have taken these.
    let (username, email) = (format!("deleted-{id}"), format!("deleted-{id}@deleted.invalid"));
    tx.execute_raw(sql(
        tx,
        "UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, password_hash = 'deleted',
            vehicle_number = NULL, phone_number = NULL, deleted_at = $6
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
