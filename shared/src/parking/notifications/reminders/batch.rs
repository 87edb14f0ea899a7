//! The job that enqueues a reminder to every driver who has been away.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{audience::audience, mail::SendReminder};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::notifications::{
        bulk::{self, Mailing},
        subscription::Subscription,
    },
};

/// Reminds drivers on the day on which it runs, even if it was due earlier: a reminder is sent on its day or not at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReminders {
    /// When it was due.
    pub due: DateTime<Utc>,
}

impl Job for SendReminders {
    const NAME: &'static str = "send-reminders";
    const QUEUE: Queue = Queue::Maintenance;
    const TIMEOUT: Duration = Duration::from_mins(30);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (config, now) = (&context.app.config, context.app.clock.now());
        let day = now.with_timezone(&config.zone).date_naive();
        let mailing = Mailing { what: Subscription::Reminders, about: day, due: self.due };
        let audience = audience(&config.schedules, now);
        bulk::enqueue(context, &mailing, &audience, |user_id| SendReminder { user_id, day }).await
    }
}
