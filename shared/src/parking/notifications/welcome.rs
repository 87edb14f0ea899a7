//! The mail to somebody new.

use std::time::Duration;

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::delivery::{Letter, deliver};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
};

/// Welcomes a new user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendWelcome {
    /// Whom.
    pub user_id: i64,
}

impl Job for SendWelcome {
    const NAME: &'static str = "send-welcome";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let letter = Letter {
            key: format!("welcome:{}", self.user_id),
            kind: "welcome",
            user_id: self.user_id,
            values: context! {},
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
