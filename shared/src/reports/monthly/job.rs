//! The job that asks for a monthly report to every user.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    jobs::{Context, Done, Job, Queue},
};

/// Reports to every user on the calendar month before that of an instant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMonthlyReports {
    /// When it was due.
    pub due: DateTime<Utc>,
}

impl Job for SendMonthlyReports {
    const NAME: &'static str = "send-monthly-reports";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, _: &Context) -> Result<Done> {
        Err(Error::Permanent("monthly reports are not written yet".into()))
    }
}
