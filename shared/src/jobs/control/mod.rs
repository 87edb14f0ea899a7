//! What operators see and do, over HTTP and on the command line: schedules, queues, running and dead jobs.

mod cancel;
mod dead;
mod jobs;
mod queues;
mod repair;
mod schedules;

pub use cancel::{cancel, cancel_as_operator};
pub use dead::{Dead, DeadJob, list_dead, purge, requeue};
pub use jobs::{JobDetails, RetryingJob, RunningJob, find_details, list_retrying, list_running};
pub use queues::{Backlog, QueueRow, list_backlogs, list_queues, pause_queue, resume_queue};
pub use repair::{Repaired, repair_times};
pub use schedules::{ScheduleRow, list_schedules, pause_schedule, resume_schedule, run_now};
