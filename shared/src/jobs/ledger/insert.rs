//! Writes new jobs into the ledger.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::{
    base::error::Result,
    jobs::{job::NewJob, state::JobState},
    platform::{
        db::{at, sql},
        queue::Queue,
        telemetry,
    },
};

/// A job in the ledger, to be announced in Redis after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The new job, or the live one with the same unique key.
    pub id: Uuid,
    /// The queue in which it waits.
    pub queue: Queue,
    /// Whether it can run now. A job for later is left to the relay.
    pub due: bool,
}

const INTO: &str = "INSERT INTO jobs (id, kind, queue, payload, unique_key, owner_id, state, max_attempts, run_at, trace, created_at)";

const UNLESS_LIVE: &str =
    "ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('queued', 'running')
    DO NOTHING";

/// An INSERT of the jobs that are selected, for a statement that also writes what they are about. Columns: id, kind, queue,
/// payload, unique key, owner, state, number of attempts, time, trace, time of creation.
#[must_use]
pub fn insert_selected(select: &str) -> String {
    format!("{INTO} {select} {UNLESS_LIVE}")
}

/// The values of a new row, in the order of [`insert_selected`].
#[must_use]
pub fn values(now: DateTime<Utc>, job: &NewJob) -> [Value; 11] {
    [
        job.id.into(),
        job.kind.into(),
        job.queue.name().into(),
        job.payload.clone().into(),
        job.unique_key.clone().into(),
        job.owner_id.into(),
        JobState::Queued.as_str().into(),
        job.max_attempts.into(),
        at(job.run_at.unwrap_or(now)),
        trace().into(),
        at(now),
    ]
}

/// The placeholders of [`values`], from `$first` on.
#[must_use]
pub fn placeholders(first: usize) -> String {
    let all: Vec<String> = (first..first + 11).map(|number| format!("${number}")).collect();
    all.join(", ")
}

/// The trace that a new job continues.
#[must_use]
pub fn trace() -> String {
    telemetry::trace_id().unwrap_or_else(telemetry::new_trace_id)
}

/// Writes a job in the caller's transaction. If its unique key belongs to a live job, returns that one instead.
pub async fn insert(db: &impl ConnectionTrait, now: DateTime<Utc>, job: &NewJob) -> Result<Enqueued> {
    let run_at = job.run_at.unwrap_or(now);
    let enqueued = |id| Enqueued { id, queue: job.queue, due: run_at <= now };
    loop {
        if try_to_insert(db, now, job).await? {
            return Ok(enqueued(job.id));
        }
        // The live one may end before it is found; then the insert is repeated.
        if let Some(id) = find_live(db, job).await? {
            return Ok(enqueued(id));
        }
    }
}

async fn try_to_insert(db: &impl ConnectionTrait, now: DateTime<Utc>, job: &NewJob) -> Result<bool> {
    let text = format!("{INTO} VALUES ({}) {UNLESS_LIVE}", placeholders(1));
    Ok(db.execute_raw(sql(db, &text, values(now, job))).await?.rows_affected() == 1)
}

async fn find_live(db: &impl ConnectionTrait, job: &NewJob) -> Result<Option<Uuid>> {
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT id FROM jobs WHERE kind = $1 AND unique_key = $2 AND state IN ('queued', 'running')",
            [job.kind.into(), job.unique_key.clone().into()],
        ))
        .await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}
