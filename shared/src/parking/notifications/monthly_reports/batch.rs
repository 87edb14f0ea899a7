//! The job that enqueues a monthly report to every driver.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::mail::SendMonthlyReport;
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::{
        notifications::{
            bulk::{self, Audience, Mailing},
            subscription::Subscription,
        },
        reports::monthly,
    },
};

/// Sends every driver the report on the calendar month before the one in which it was due.
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
        let month = monthly::month_before(self.due, context.app.config.zone);
        let mailing = Mailing { what: Subscription::Reports, about: month, due: self.due };
        let mail = |user_id| SendMonthlyReport { user_id, month };
        bulk::enqueue(context, &mailing, &Audience::everyone(), mail).await
    }
}
