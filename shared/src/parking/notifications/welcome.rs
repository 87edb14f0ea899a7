//! The mail to a new user.

use std::time::Duration;

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{Letter, deliver},
    verification,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
};

/// Welcomes a new user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendWelcome {
    /// The new user.
    pub user_id: i64,
}

/// The job that welcomes a user.
///
/// # Errors
/// As [`NewJob::of`].
pub fn welcome(user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendWelcome { user_id })?.owner(user_id).unique(user_id.to_string()))
}

impl Job for SendWelcome {
    const NAME: &'static str = "send-welcome";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let verify_url = verification::link(context, self.user_id).await?;
        let letter = Letter {
            key: format!("welcome:{}", self.user_id),
            kind: "welcome",
            user_id: self.user_id,
            values: context! { verify_url },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
