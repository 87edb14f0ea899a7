//! The job that finds out whom to remind, and asks for a mail to each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::notifications::{SendReminder, Subscription, mailing::Mailing},
};

/// Reminds drivers who have been away, today: a run that comes late is about the day on which it runs, because a mail
/// goes on its own day or not at all.
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
        let audience = super::audience(&config.schedules, now);
        mailing.ask(context, &audience, |user_id| SendReminder { user_id, day }).await
    }
}
