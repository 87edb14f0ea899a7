//! Which due jobs the relay pushes into Redis now. Pure: the simulation of the ledger runs the same code.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::jobs::ledger::DueJob;

/// The process that enqueued a job announces it, so the relay waits this long before it pushes the job itself.
pub const HEAD_START: Duration = Duration::from_secs(1);

/// A message that has not led to a claim after this time is sent again: Redis may have lost it.
const RESEND_AFTER: Duration = Duration::from_secs(10);

/// Likewise when no message is waiting: then it is lost, unless a consumer is about to claim the job.
const RESEND_AFTER_IF_EMPTY: Duration = Duration::from_secs(1);

/// Likewise for a job that has been run before: its worker has probably died, and its message with another one. There
/// are few of these, so a duplicate costs little.
const RESEND_AFTER_A_RUN: Duration = Duration::from_secs(2);

/// Selects the jobs of one queue to push. Remembers what it has pushed, so that a job is pushed once unless its
/// message seems to be lost.
#[derive(Debug)]
pub struct Selection {
    /// At most this many messages may wait in Redis.
    limit: u64,
    /// When each job was pushed, measured from any fixed moment.
    pushed: HashMap<DueJob, Duration>,
}

impl Selection {
    /// Nothing pushed yet.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, pushed: HashMap::new() }
    }

    /// How many messages may be pushed while `waiting` are in Redis.
    #[must_use]
    pub const fn room(&self, waiting: u64) -> u64 {
        self.limit.saturating_sub(waiting)
    }

    /// How many due jobs must be read for [`Selection::select`] to fill the room.
    #[must_use]
    pub fn rows_to_read(&self, waiting: u64) -> u64 {
        self.room(waiting) + self.pushed.len() as u64
    }

    /// The jobs to push now, of those that are due, while `waiting` messages are in Redis.
    pub fn select(&mut self, due: Vec<DueJob>, waiting: u64, now: Duration) -> Vec<DueJob> {
        // A job that is no longer due has been claimed or has ended.
        let still_due: HashSet<DueJob> = due.iter().copied().collect();
        self.pushed.retain(|job, pushed_at| {
            still_due.contains(job) && now.saturating_sub(*pushed_at) < resend_after(*job, waiting)
        });
        let room = usize::try_from(self.room(waiting)).unwrap_or(usize::MAX);
        due.into_iter().filter(|job| !self.pushed.contains_key(job)).take(room).collect()
    }

    /// Notes that the jobs have been pushed.
    pub fn record(&mut self, jobs: &[DueJob], now: Duration) {
        self.pushed.extend(jobs.iter().map(|job| (*job, now)));
    }
}

fn resend_after(job: DueJob, waiting: u64) -> Duration {
    let pause = if waiting == 0 { RESEND_AFTER_IF_EMPTY } else { RESEND_AFTER };
    if job.attempt > 0 { pause.min(RESEND_AFTER_A_RUN) } else { pause }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn job(id: u128, attempt: i64) -> DueJob {
        DueJob { id: Uuid::from_u128(id), attempt }
    }

    /// What is selected `seconds` after the jobs were pushed, with `waiting` messages in Redis.
    fn again(jobs: &[DueJob], waiting: u64, seconds: f64) -> Vec<DueJob> {
        let mut selection = Selection::new(100);
        selection.record(jobs, Duration::from_secs(5));
        selection.select(jobs.to_vec(), waiting, Duration::from_secs_f64(5.0 + seconds))
    }

    #[test]
    fn selection_fills_the_room_with_the_first_due_jobs() {
        let due: Vec<_> = (0..9).map(|id| job(id, 0)).collect();
        let mut selection = Selection::new(5);
        assert_eq!(selection.select(due.clone(), 2, Duration::ZERO), due[..3]);
        selection.record(&due[..3], Duration::ZERO);
        assert_eq!(selection.rows_to_read(3), 2 + 3);
        assert_eq!(selection.select(due.clone(), 3, Duration::ZERO), due[3..5]);
        assert_eq!(selection.select(due, 5, Duration::ZERO), []);
        assert_eq!(selection.rows_to_read(6), 3);
    }

    #[test]
    fn a_pushed_job_is_pushed_again_when_its_message_seems_lost() {
        let (new, old) = (job(1, 0), job(2, 1));
        assert_eq!(again(&[new, old], 3, 1.9), []);
        assert_eq!(again(&[new, old], 3, 2.0), [old]);
        assert_eq!(again(&[new, old], 3, 9.9), [old]);
        assert_eq!(again(&[new, old], 3, 10.0), [new, old]);
        assert_eq!(again(&[new, old], 0, 0.9), []);
        assert_eq!(again(&[new, old], 0, 1.0), [new, old]);
    }

    #[test]
    fn a_job_that_is_due_again_after_a_run_is_pushed_at_once() {
        let mut selection = Selection::new(5);
        selection.record(&[job(1, 0)], Duration::ZERO);
        assert_eq!(selection.select(vec![job(1, 1)], 1, Duration::ZERO), [job(1, 1)]);
        assert_eq!(selection.rows_to_read(1), 4, "the claimed run is no longer remembered");
    }
}
