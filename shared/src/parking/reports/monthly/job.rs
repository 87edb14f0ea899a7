//! The job that asks for a monthly report to every driver.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::notifications::{SendMonthlyReport, Subscription, mailing::Mailing},
};

/// Reports to every driver on the calendar month before that of an instant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMonthlyReports {
    /// When it was due.
    pub due: DateTime<Utc>,
}

impl Job for SendMonthlyReports {
    const NAME: &'static str = "send-monthly-reports";
    const QUEUE: Queue = Queue::Maintenance;
    const TIMEOUT: Duration = Duration::from_mins(30);

    async fn run(&self, context: &Context) -> Result<Done> {
        let month = super::month_before(self.due, context.app.config.zone);
        let mailing = Mailing { what: Subscription::Reports, about: month, due: self.due };
        mailing.ask(context, &super::audience(), |user_id| SendMonthlyReport { user_id, month }).await
    }
}
