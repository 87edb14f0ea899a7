//! Verifying the mail address of a user: the link, and the mail that carries it to a new address, or once more.

use std::time::Duration;

use chrono::TimeDelta;
use minijinja::context;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::delivery::{Letter, deliver};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::tokens::{self, Kind, New},
    platform::db::sql,
};

const LINK_LIFETIME: TimeDelta = TimeDelta::days(7);

/// Mails a user the link that verifies the new address, or the one that they have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendVerification {
    /// The user.
    pub user_id: i64,
}

/// The job that mails the link.
///
/// # Errors
/// As [`NewJob::of`].
pub fn verification(user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendVerification { user_id })?.owner(user_id))
}

/// Whether the user has verified the mail address.
pub async fn has_verified_email(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    let text = "SELECT 1 FROM users WHERE id = $1 AND email_verified";
    Ok(db.query_one_raw(sql(db, text, [user_id.into()])).await?.is_some())
}

/// The link by which the user verifies the address to which this job writes; none if it is verified or another link was
/// used.
pub(super) async fn link(context: &Context, user_id: i64) -> Result<Option<String>> {
    if has_verified_email(context.app.db.read(), user_id).await? {
        return Ok(None);
    }
    link_for(context, user_id, None).await
}

/// A link that verifies the address of the user, or a new one; none if another link was used.
async fn link_for(context: &Context, user_id: i64, address: Option<&str>) -> Result<Option<String>> {
    let (app, job, now) = (&context.app, context.id, context.app.clock.now());
    let kind = if address.is_some() { Kind::EmailChange } else { Kind::EmailVerification };
    let new = New { job, kind, user_id, address, expires_at: now + LINK_LIFETIME };
    let token = tokens::issue(&app.keys, app.db.write(), now, new).await?;
    Ok(token.map(|token| format!("{}/api/auth/verify-email?token={token}", app.config.public_url)))
}

/// The new address of a user that waits for verification.
async fn pending_email(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    let row =
        db.query_one_raw(sql(db, "SELECT pending_email FROM users WHERE id = $1", [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "pending_email")).transpose()?.flatten())
}

impl Job for SendVerification {
    const NAME: &'static str = "send-verification";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let pending = pending_email(context.app.db.read(), self.user_id).await?;
        let url = match &pending {
            Some(address) => link_for(context, self.user_id, Some(address)).await?,
            None => link(context, self.user_id).await?,
        };
        let Some(url) = url else {
            return Ok(Done::skipped("the address is verified, or has changed"));
        };
        let letter = Letter {
            key: format!("verify-email:{}", context.id),
            kind: "verify_email",
            user_id: self.user_id,
            to_address: pending,
            values: context! { url },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
