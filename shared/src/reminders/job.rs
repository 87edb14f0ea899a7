//! The job that finds out whom to remind, and asks for a mail to each.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    jobs::{Context, Done, Job, Queue},
};

/// Reminds users on the local day of an instant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReminders {
    /// When it was due.
    pub due: DateTime<Utc>,
}

impl Job for SendReminders {
    const NAME: &'static str = "send-reminders";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, _: &Context) -> Result<Done> {
        Err(Error::Permanent("reminders are not written yet".into()))
    }
}
