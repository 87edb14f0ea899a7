//! The mail that tells a user that somebody tries passwords on their account.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{Letter, deliver},
    format::local_time,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
};

/// Tells a user that somebody tries passwords on their account, at most once a day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendGuessingNotice {
    /// The user.
    pub user_id: i64,
    /// When the limit was reached.
    pub noticed_at: DateTime<Utc>,
}

/// The job that tells a user that somebody tries passwords on their account.
///
/// # Errors
/// As [`NewJob::of`].
pub fn guessing(user_id: i64, noticed_at: DateTime<Utc>) -> Result<NewJob> {
    let job = NewJob::of(&SendGuessingNotice { user_id, noticed_at })?;
    Ok(job.owner(user_id).unique(format!("guessing-notice:{user_id}")))
}

impl Job for SendGuessingNotice {
    const NAME: &'static str = "send-guessing-notice";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let zone = context.app.config.zone;
        let letter = Letter {
            // Also once a day if Redis was away and every process noticed.
            key: format!("guessing:{}:{}", self.user_id, self.noticed_at.with_timezone(&zone).date_naive()),
            kind: "guessing",
            user_id: self.user_id,
            values: context! { noticed => local_time(self.noticed_at, zone) },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
