//! Mails about passwords: the link that sets a new one, and the notice that one was set.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{Letter, deliver, dropped},
    format::local_time,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::tokens::{self, Kind, New},
};

/// How long a link is valid after it was requested.
const LINK_LIFETIME: TimeDelta = TimeDelta::minutes(30);

/// Mails a link that sets a new password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendPasswordReset {
    /// The user; none if the address that was entered has no account.
    pub user_id: Option<i64>,
    /// When the link was requested.
    pub requested_at: DateTime<Utc>,
}

/// Tells a user that the password was changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendPasswordChanged {
    /// The user.
    pub user_id: i64,
    /// When it was changed.
    pub changed_at: DateTime<Utc>,
}

/// The job that mails a link that sets a new password.
///
/// # Errors
/// As [`NewJob::of`].
pub fn password_reset(user_id: Option<i64>, requested_at: DateTime<Utc>) -> Result<NewJob> {
    let job = NewJob::of(&SendPasswordReset { user_id, requested_at })?;
    Ok(if let Some(user_id) = user_id { job.owner(user_id) } else { job })
}

/// The job that tells a user that the password was changed.
///
/// # Errors
/// As [`NewJob::of`].
pub fn password_changed(user_id: i64, changed_at: DateTime<Utc>) -> Result<NewJob> {
    Ok(NewJob::of(&SendPasswordChanged { user_id, changed_at })?.owner(user_id))
}

impl Job for SendPasswordReset {
    const NAME: &'static str = "send-password-reset";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let Some(user_id) = self.user_id else {
            return Ok(Done::skipped("no account has this address"));
        };
        let (app, expires_at) = (&context.app, self.requested_at + LINK_LIFETIME);
        if app.clock.now() >= expires_at {
            return Ok(dropped("the link has expired"));
        }
        let (job, kind) = (context.id, Kind::PasswordReset);
        let new = New { job, kind, user_id, address: None, expires_at };
        let token = tokens::issue(&app.keys, app.db.write(), app.clock.now(), new).await?;
        let Some(token) = token else { return Ok(dropped("a later link was used")) };
        let letter = Letter {
            key: format!("password-reset:{}", context.id),
            kind: "password_reset",
            user_id,
            values: context! {
                url => format!("{}/api/auth/reset-password?token={token}", app.config.public_url),
                expires => local_time(expires_at, app.config.zone),
            },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}

impl Job for SendPasswordChanged {
    const NAME: &'static str = "send-password-changed";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let letter = Letter {
            key: format!("password-changed:{}", context.id),
            kind: "password_changed",
            user_id: self.user_id,
            values: context! { changed => local_time(self.changed_at, context.app.config.zone) },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
