//! Verifying the mail address of a user: the link, and the mail that carries it after a change of the address.

use std::time::Duration;

use chrono::TimeDelta;
use minijinja::context;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::delivery::{Letter, deliver};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::tokens::{self, Kind},
    platform::db::sql,
};

const LINK_LIFETIME: TimeDelta = TimeDelta::days(7);

/// Mails a user the link that verifies a new address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendVerification {
    /// The user.
    pub user_id: i64,
}

/// The job that mails a link to the new address of a user.
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
    let app = &context.app;
    if has_verified_email(app.db.read(), user_id).await? {
        return Ok(None);
    }
    let expires_at = app.clock.now() + LINK_LIFETIME;
    let token = tokens::issue(app, context.id, Kind::EmailVerification, user_id, expires_at).await?;
    Ok(token.map(|token| format!("{}/api/auth/verify-email?token={token}", app.config.public_url)))
}

impl Job for SendVerification {
    const NAME: &'static str = "send-verification";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let Some(url) = link(context, self.user_id).await? else {
            return Ok(Done::skipped("the address is verified, or has changed"));
        };
        let letter = Letter {
            key: format!("verify-email:{}", context.id),
            kind: "verify_email",
            user_id: self.user_id,
            values: context! { url },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
