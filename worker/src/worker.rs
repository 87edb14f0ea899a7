//! What a worker process consists of.

use std::sync::Arc;

use shared::{app::App, jobs::transport::Signals};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{batches::LedgerBatches, health::Health, registry::Registry};

/// A worker process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The application.
    pub app: App,
    /// Identifies this process to operators.
    pub name: Arc<str>,
    /// The kinds of jobs that it can run.
    pub registry: Registry,
    /// The signals that it receives through Redis.
    pub signals: Signals,
    /// Running jobs and periodic work. Both end before the process does.
    pub tasks: TaskTracker,
    /// Claims and ends of runs, several in one statement.
    pub batches: LedgerBatches,
    /// What `/health` reports.
    pub health: Health,
}

impl Worker {
    /// A worker for the kinds of jobs in `registry`.
    #[must_use]
    pub fn new(app: App, registry: Registry) -> Self {
        Self {
            app,
            name: format!("worker-{}", Uuid::new_v4().simple()).into(),
            registry,
            signals: Signals::default(),
            tasks: TaskTracker::new(),
            batches: LedgerBatches::default(),
            health: Health::default(),
        }
    }
}
