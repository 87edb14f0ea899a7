//! The ledger as a machine in memory: what each statement of `ledger.rs` and `backlog.rs` does to the rows. Pure.
//!
//! It is the rule in a form that can be run ten thousand times a minute. `shared/tests/ledger_simulation` lets a whole
//! world of failing workers loose on it, and compares it with the statements, row by row, on both databases.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    Queue,
    policy::{Close, MAX_CRASHES, POISON},
};

/// The id of a job, or the token of a lease.
pub type Id = u128;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Succeeded,
    /// In the dead set.
    Failed,
    /// Given up by its owner.
    Cancelled,
}

impl State {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has not ended.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// The right to write about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The fence.
    pub token: Id,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// A row, without what no rule looks at (payload, owner, trace).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the columns of the table")]
pub struct Row {
    pub kind: String,
    pub queue: Queue,
    pub unique_key: Option<String>,
    pub state: State,
    pub attempt: i64,
    pub max_attempts: i64,
    pub crashes: i64,
    pub run_at: DateTime<Utc>,
    pub worker: Option<String>,
    pub lease: Option<Lease>,
    pub cancel_requested: bool,
    pub progress: (i64, i64),
    pub result: Option<String>,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Row {
    /// A job that waits.
    #[must_use]
    pub fn new(now: DateTime<Utc>, kind: &str, queue: Queue, max_attempts: i64) -> Self {
        Self {
            kind: kind.to_owned(),
            queue,
            unique_key: None,
            state: State::Queued,
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

    /// Whether its worker has not renewed the lease in time.
    #[must_use]
    pub fn is_abandoned(&self, now: DateTime<Utc>) -> bool {
        self.state == State::Running && self.lease.is_some_and(|lease| lease.until < now)
    }

    fn is_held_with(&self, token: Id) -> bool {
        self.state == State::Running && self.lease.is_some_and(|lease| lease.token == token)
    }

    fn close(&mut self, now: DateTime<Utc>, how: Close<'_>) {
        (self.result, self.error) = (None, None);
        self.state = match how {
            Close::Succeeded(result) => {
                self.result = Some(result.to_owned());
                State::Succeeded
            }
            Close::Failed(error) => {
                self.error = Some(error.to_owned());
                State::Failed
            }
            Close::Cancelled => State::Cancelled,
            Close::Retry(run_at, error) => {
                (self.run_at, self.error) = (run_at, Some(error.to_owned()));
                State::Queued
            }
            Close::Release | Close::Postpone(_) => {
                self.run_at = if let Close::Postpone(run_at) = how { run_at } else { now };
                self.attempt -= 1;
                State::Queued
            }
        };
        if self.state == State::Queued && self.cancel_requested {
            self.state = State::Cancelled;
        }
        self.finished_at = (!self.state.is_live()).then_some(now);
        (self.crashes, self.worker, self.lease) = (0, None, None);
    }
}

/// All rows, and what is paused.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The jobs by id.
    pub rows: BTreeMap<Id, Row>,
    /// Names of queues from which nobody takes jobs.
    pub paused: BTreeSet<&'static str>,
}

impl Ledger {
    /// Writes a job, unless a living one has its kind and key. Returns the id of the one that is there now.
    pub fn insert(&mut self, id: Id, row: Row) -> Id {
        let living = |other: &Row| {
            other.state.is_live() && other.kind == row.kind && other.unique_key == row.unique_key
        };
        let found = row.unique_key.as_ref().and_then(|_| self.rows.iter().find(|(_, other)| living(other)));
        if let Some((id, _)) = found {
            return *id;
        }
        self.rows.insert(id, row);
        id
    }

    /// Takes a job that is due or abandoned, under a new token. `None`: it is not to be had.
    pub fn claim(
        &mut self,
        now: DateTime<Utc>,
        lease: Duration,
        worker: &str,
        token: Id,
        id: Id,
    ) -> Option<&Row> {
        let row = self.rows.get_mut(&id)?;
        let abandoned = row.is_abandoned(now);
        let is_free =
            (row.state == State::Queued && row.run_at <= now) || (abandoned && row.crashes < MAX_CRASHES - 1);
        if !is_free || self.paused.contains(row.queue.name()) {
            return None;
        }
        row.crashes = if abandoned { row.crashes + 1 } else { 0 };
        row.state = State::Running;
        row.attempt += 1;
        row.worker = Some(worker.to_owned());
        row.lease = Some(Lease { token, until: now + lease });
        row.started_at = Some(now);
        row.progress = (0, 0);
        Some(row)
    }

    /// Keeps a job and notes its progress. `None`: it is somebody else's; else whether its owner wants it stopped.
    pub fn renew(
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

    /// Ends a run. `false`: the lease was lost, and nothing was written.
    pub fn close(&mut self, now: DateTime<Utc>, token: Id, id: Id, how: Close<'_>) -> bool {
        let held = self.rows.get_mut(&id).filter(|row| row.is_held_with(token));
        held.map(|row| row.close(now, how)).is_some()
    }

    /// Asks for a job's end. Returns the state it then has.
    pub fn cancel(&mut self, now: DateTime<Utc>, id: Id) -> Option<State> {
        let row = self.rows.get_mut(&id)?;
        if row.state.is_live() {
            row.cancel_requested = true;
        }
        if row.state == State::Queued {
            (row.state, row.finished_at) = (State::Cancelled, Some(now));
        }
        Some(row.state)
    }

    /// Gives up what kills its workers. Returns those ids.
    pub fn bury_poison(&mut self, now: DateTime<Utc>) -> Vec<Id> {
        let poison = |row: &Row| row.is_abandoned(now) && row.crashes >= MAX_CRASHES - 1;
        let mut buried = Vec::new();
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| poison(row)) {
            (row.state, row.finished_at, row.lease) = (State::Failed, Some(now), None);
            row.error = Some(POISON.to_owned());
            buried.push(*id);
        }
        buried
    }

    /// What the relay pushes: abandoned jobs, then those due for `head_start` or longer, the oldest first.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>, head_start: Duration, queue: Queue) -> Vec<(Id, i64)> {
        let of_queue = || self.rows.iter().filter(|(_, row)| row.queue == queue);
        let abandoned = of_queue().filter(|(_, row)| row.is_abandoned(now));
        let is_due = |row: &Row| {
            row.state == State::Queued
                && row.run_at <= now - head_start
                && !self.paused.contains(queue.name())
        };
        let mut waiting: Vec<_> = of_queue().filter(|(_, row)| is_due(row)).collect();
        waiting.sort_by_key(|(_, row)| row.run_at);
        abandoned.chain(waiting).map(|(id, row)| (*id, row.attempt)).collect()
    }
}
