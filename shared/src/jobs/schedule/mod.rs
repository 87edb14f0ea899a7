//! Schedules: at each of its due times, a schedule enqueues one job, however many workers run.

mod proposer;
mod ticker;
pub mod timetable;

pub use proposer::{Proposer, Schedule};
pub(super) use proposer::{ensure_row, find_live_job, lock_row};
pub use ticker::run;
pub use timetable::Timetable;
