//! Jobs: a row in the ledger is the truth, a message in Redis wakes a worker. See `docs/ARCHITECTURE.md`.

use std::{future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

pub mod backlog;
pub mod board;
pub mod change;
pub mod context;
pub mod control;
pub mod followers;
pub mod ledger;
pub mod machine;
pub mod policy;
pub mod queue;
pub mod relay;
pub mod schedule;
pub mod signals;
pub mod status;
pub mod timetable;

pub use change::Change;
pub use context::{Context, Interruption, Interrupts};
pub use ledger::{Enqueued, NewJob};

pub use crate::platform::queue::Queue;
use crate::{app::App, base::error::Result};

/// A kind of job: its payload (ids, never rows), how it is run and what running it means.
///
/// A job may run more than once and must end the same. It may be dropped at any `await` when it is cancelled,
/// so half-made things are removed by guards.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind, as stored in the ledger: an imperative in kebab case.
    const NAME: &'static str;
    /// The lane.
    const QUEUE: Queue;
    /// A run that takes longer is ended and tried again.
    const TIMEOUT: Duration = Duration::from_mins(5);
    /// Runs that may fail for a passing reason before the job is given up.
    const MAX_ATTEMPTS: i64 = 10;

    /// Does the work.
    ///
    /// # Errors
    /// A transient error is tried again later, any other ends the job as failed.
    fn run(&self, context: &Context) -> impl Future<Output = Result<Done>> + Send;
}

/// What a finished job leaves: a result for whoever asked, and jobs that follow from it.
///
/// The following jobs are written in the transaction that records the success, so they exist exactly if it does.
#[derive(Debug, Default)]
pub struct Done {
    /// Shown to the owner.
    pub result: Value,
    /// Enqueued with the success.
    pub then: Vec<NewJob>,
}

impl Done {
    /// Finished, with a result for whoever asked.
    #[must_use]
    pub fn with(result: Value) -> Self {
        Self { result, then: Vec::new() }
    }

    /// And now this.
    #[must_use]
    pub fn then(mut self, job: NewJob) -> Self {
        self.then.push(job);
        self
    }
}

/// The id of a job: sorts by the time of its making.
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Asks for the end of a job. `false` when it has ended already, otherwise than by being cancelled.
///
/// # Errors
/// Those of the database.
pub async fn cancel(app: &App, id: Uuid) -> Result<bool> {
    let row = ledger::cancel(&app.db, app.clock.now(), id).await?;
    match row.as_ref().map(|row| row.state.as_str()) {
        Some("running") => signals::send_cancel(&app.redis, id).await,
        Some("cancelled") => status::publish_from_ledger(app, id).await,
        _ => return Ok(false),
    }
    Ok(true)
}
