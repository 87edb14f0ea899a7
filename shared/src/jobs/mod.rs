//! Background work. A row in the ledger is the truth about a job; a message in Redis only wakes a worker.

pub mod change;
pub mod control;
pub mod job;
pub mod ledger;
pub mod outcome;
pub mod policy;
pub mod schedule;
pub mod state;
pub mod status;
pub mod transport;

pub use crate::platform::queue::Queue;
pub use change::{Change, FollowUps};
pub use control::cancel;
pub use job::{Context, Done, Job, Kind, NewJob, Progress, new_id};
pub use ledger::Enqueued;
pub use outcome::Outcome;
pub use state::JobState;
pub use transport::{announce, announce_soon, queue};
