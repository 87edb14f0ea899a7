//! What a running job is given: the application, its own identity, its progress, and a way to be stopped.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;

/// Why a run is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Its owner has given it up.
    Cancelled,
    /// The worker is shutting down.
    Shutdown,
    /// Somebody else has the job now.
    LeaseLost,
}

/// The stop button of a run. The first reason counts.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    token: CancellationToken,
    reason: Arc<OnceLock<Interruption>>,
}

impl Interrupts {
    /// Stops the run.
    pub fn interrupt(&self, why: Interruption) {
        if self.reason.set(why).is_ok() {
            self.token.cancel();
        }
    }

    /// Whether this is the same button.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reason, &other.reason)
    }

    /// Waits until the run is to stop, and says why.
    pub async fn interrupted(&self) -> Interruption {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(Interruption::Shutdown)
    }
}

/// How far a job is: `current` of `total`.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<watch::Sender<(i64, i64)>>);

impl Progress {
    /// Sets both figures. A run never goes back: a lower `current` than before counts as the one before.
    pub fn set(&self, current: i64, total: i64) {
        self.0.send_if_modified(|known| {
            let next = (current.max(known.0), total);
            std::mem::replace(known, next) != next
        });
    }

    /// Both figures.
    #[must_use]
    pub fn get(&self) -> (i64, i64) {
        *self.0.borrow()
    }

    /// Tells when they change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<(i64, i64)> {
        self.0.subscribe()
    }
}

/// What `Job::run` is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The application.
    pub app: App,
    /// The job.
    pub id: Uuid,
    /// Whose job it is.
    pub owner_id: Option<i64>,
    /// Which run this is, from 1.
    pub attempt: i64,
    /// To be told how far the work is; readers see it within a moment.
    pub progress: Progress,
}
