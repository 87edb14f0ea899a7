//! Background work. A row in the ledger is the truth about a job; a message in Redis only wakes a worker.

pub mod control;
pub mod job;
pub mod ledger;
pub mod outcome;
pub mod policy;
pub mod schedule;
pub mod state;
pub mod status;
pub mod transport;

pub use control::cancel;
pub use job::{Context, Done, Job, Kind, NewJob, Progress, new_id};
pub use ledger::Enqueued;
pub use outcome::Outcome;
pub use state::JobState;
pub use transport::{announce, announce_soon, queue};

/// A lane of its own, so that a big export never delays a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Mails: short and many.
    Mail,
    /// Exports: long and few.
    Exports,
    /// Upkeep: one at a time.
    Maintenance,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Exports, Self::Maintenance];

    /// As stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Exports => "exports",
            Self::Maintenance => "maintenance",
        }
    }

    /// The queue called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}
