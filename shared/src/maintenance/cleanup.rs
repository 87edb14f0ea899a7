//! The job that removes what nobody needs any more.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    jobs::{Context, Done, Job, Queue},
};

/// Cleans up everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanUp {
    /// When it was due.
    pub due: DateTime<Utc>,
}

impl Job for CleanUp {
    const NAME: &'static str = "clean-up";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, _: &Context) -> Result<Done> {
        Err(Error::Permanent("the clean-up is not written yet".into()))
    }
}
