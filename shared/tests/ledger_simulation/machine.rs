//! The ledger as a pure state machine in memory: what each statement of `shared/src/jobs/ledger` does to the rows.
//!
//! The simulation runs thousands of worlds of failing workers on it. `differential.rs` compares it with the statements,
//! row by row, on both databases.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use shared::jobs::{
    JobState, Outcome, Queue,
    ledger::DueJob,
    policy::{MAX_CRASHES, POISON},
};
use uuid::Uuid;

/// The id of a job, or the token of a lease.
pub(crate) type Id = u128;

/// A worker's hold on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) token: Id,
    pub(crate) until: DateTime<Utc>,
}

/// A row, without the columns that no rule depends on (payload, owner, trace).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) queue: Queue,
    pub(crate) unique_key: Option<String>,
    pub(crate) state: JobState,
    pub(crate) attempt: i64,
    pub(crate) max_attempts: i64,
    pub(crate) crashes: i64,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) worker: Option<String>,
    pub(crate) lease: Option<Lease>,
    pub(crate) cancel_requested: bool,
    pub(crate) progress: (i64, i64),
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl Row {
    /// A queued job.
    #[must_use]
    pub(crate) fn new(now: DateTime<Utc>, kind: &str, queue: Queue, max_attempts: i64) -> Self {
        Self {
            kind: kind.to_owned(),
            queue,
            unique_key: None,
            state: JobState::Queued,
            attempt: 0,
            max_attempts,
            crashes: 0,
            run_at: now,
            worker: None,
            lease: None,
            cancel_requested: false,
            progress: (0, 0),
            result: None,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: None,
        }
    }

    /// Whether the lease has expired.
    #[must_use]
    pub(crate) fn is_abandoned(&self, now: DateTime<Utc>) -> bool {
        self.state == JobState::Running && self.lease.is_some_and(|lease| lease.until < now)
    }

    fn is_held_with(&self, token: Id) -> bool {
        self.state == JobState::Running && self.lease.is_some_and(|lease| lease.token == token)
    }

    fn close(&mut self, now: DateTime<Utc>, outcome: &Outcome) {
        (self.result, self.error) = (None, None);
        self.state = match outcome {
            Outcome::Succeeded(done) => {
                self.result = Some(done.result.to_string());
                JobState::Succeeded
            }
            Outcome::Failed(error) => {
                self.error = Some(error.clone());
                JobState::Failed
            }
            Outcome::Cancelled => JobState::Cancelled,
            Outcome::Retry { run_at, error } => {
                (self.run_at, self.error) = (*run_at, Some(error.clone()));
                JobState::Queued
            }
            Outcome::Held { run_at, error } => {
                (self.run_at, self.error) = (*run_at, Some(error.clone()));
                self.attempt -= 1;
                JobState::Queued
            }
            Outcome::Released | Outcome::Postponed { .. } => {
                self.run_at = if let Outcome::Postponed { run_at } = outcome { *run_at } else { now };
                self.attempt -= 1;
                JobState::Queued
            }
            Outcome::LeaseLost => panic!("a run without a lease records nothing"),
        };
        if self.state == JobState::Queued && self.cancel_requested {
            self.state = JobState::Cancelled;
        }
        self.finished_at = self.state.is_final().then_some(now);
        (self.crashes, self.worker, self.lease) = (0, None, None);
    }
}

/// All rows, and the paused queues.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) rows: BTreeMap<Id, Row>,
    pub(crate) paused: BTreeSet<&'static str>,
}

impl Ledger {
    /// Writes a job unless a live one has its kind and key. Returns the id of the live job.
    pub(crate) fn insert(&mut self, id: Id, row: Row) -> Id {
        let is_live_duplicate = |other: &Row| {
            !other.state.is_final() && other.kind == row.kind && other.unique_key == row.unique_key
        };
        let found = row
            .unique_key
            .as_ref()
            .and_then(|_| self.rows.iter().find(|(_, other)| is_live_duplicate(other)));
        if let Some((id, _)) = found {
            return *id;
        }
        self.rows.insert(id, row);
        id
    }

    /// Claims a job that is due or abandoned, with a new token. `None` if it cannot be claimed.
    pub(crate) fn claim(
        &mut self,
        now: DateTime<Utc>,
        lease: Duration,
        worker: &str,
        token: Id,
        id: Id,
    ) -> Option<&Row> {
        let row = self.rows.get_mut(&id)?;
        let abandoned = row.is_abandoned(now);
        let is_free = (row.state == JobState::Queued && row.run_at <= now)
            || (abandoned && row.crashes < MAX_CRASHES - 1);
        if !is_free || self.paused.contains(row.queue.name()) {
            return None;
        }
        row.crashes = if abandoned { row.crashes + 1 } else { 0 };
        row.state = JobState::Running;
        row.attempt += 1;
        row.worker = Some(worker.to_owned());
        row.lease = Some(Lease { token, until: now + lease });
        row.started_at = Some(now);
        row.progress = (0, 0);
        Some(row)
    }

    /// Extends the lease and stores the progress. `None` if the lease is lost; otherwise whether a cancellation was
    /// requested.
    pub(crate) fn renew(
        &mut self,
        now: DateTime<Utc>,
        lease: Duration,
        token: Id,
        id: Id,
        progress: (i64, i64),
    ) -> Option<bool> {
        let row = self.rows.get_mut(&id).filter(|row| row.is_held_with(token))?;
        row.lease = Some(Lease { token, until: now + lease });
        row.progress = progress;
        Some(row.cancel_requested)
    }

    /// Records the end of a run. `false` if the lease is lost; then nothing is written.
    pub(crate) fn close(&mut self, now: DateTime<Utc>, token: Id, id: Id, outcome: &Outcome) -> bool {
        let held = self.rows.get_mut(&id).filter(|row| row.is_held_with(token));
        held.map(|row| row.close(now, outcome)).is_some()
    }

    /// Cancels a job. Returns its state afterwards.
    pub(crate) fn cancel(&mut self, now: DateTime<Utc>, id: Id) -> Option<JobState> {
        let row = self.rows.get_mut(&id)?;
        if !row.state.is_final() {
            row.cancel_requested = true;
        }
        if row.state == JobState::Queued {
            (row.state, row.finished_at) = (JobState::Cancelled, Some(now));
        }
        Some(row.state)
    }

    /// Fails jobs that kill their workers. Returns their ids.
    pub(crate) fn fail_poison(&mut self, now: DateTime<Utc>) -> Vec<Id> {
        let is_poison = |row: &Row| row.is_abandoned(now) && row.crashes >= MAX_CRASHES - 1;
        let mut failed = Vec::new();
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| is_poison(row)) {
            (row.state, row.finished_at, row.lease) = (JobState::Failed, Some(now), None);
            row.error = Some(POISON.to_owned());
            failed.push(*id);
        }
        failed
    }

    /// Jobs to run now: abandoned ones, then those due for `head_start` or longer, the oldest first. At most `limit` of
    /// each.
    pub(crate) fn due(
        &self,
        now: DateTime<Utc>,
        head_start: Duration,
        queue: Queue,
        limit: u64,
    ) -> Vec<DueJob> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let of_queue = || self.rows.iter().filter(|(_, row)| row.queue == queue);
        let is_due = |row: &Row| {
            row.state == JobState::Queued
                && row.run_at <= now - head_start
                && !self.paused.contains(queue.name())
        };
        let mut waiting: Vec<_> = of_queue().filter(|(_, row)| is_due(row)).collect();
        waiting.sort_by_key(|(_, row)| row.run_at);
        let abandoned = of_queue().filter(|(_, row)| row.is_abandoned(now)).take(limit);
        let due = abandoned.chain(waiting.into_iter().take(limit));
        due.map(|(id, row)| DueJob { id: Uuid::from_u128(*id), attempt: row.attempt }).collect()
    }
}
