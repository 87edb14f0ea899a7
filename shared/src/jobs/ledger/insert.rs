//! Writes new jobs into the ledger.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    base::error::Result,
    jobs::job::NewJob,
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

/// Writes a job in the caller's transaction. If its unique key belongs to a live job, returns that one instead.
pub async fn insert(db: &impl ConnectionTrait, now: DateTime<Utc>, job: &NewJob) -> Result<Enqueued> {
    let run_at = job.run_at.unwrap_or(now);
    let enqueued = |id| Enqueued { id, queue: job.queue, due: run_at <= now };
    loop {
        if try_to_insert(db, now, run_at, job).await? {
            return Ok(enqueued(job.id));
        }
        // The live one may end before it is found; then the insert is repeated.
        if let Some(id) = find_live(db, job).await? {
            return Ok(enqueued(id));
        }
    }
}

async fn try_to_insert(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    run_at: DateTime<Utc>,
    job: &NewJob,
) -> Result<bool> {
    let done = db
        .execute_raw(sql(
            db,
            "INSERT INTO jobs (id, kind, queue, payload, unique_key, owner_id, state, max_attempts, run_at, trace, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $8, $9, $10)
             ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') DO NOTHING",
            [
                job.id.into(),
                job.kind.into(),
                job.queue.name().into(),
                job.payload.clone().into(),
                job.unique_key.clone().into(),
                job.owner_id.into(),
                job.max_attempts.into(),
                at(run_at),
                telemetry::trace_id().unwrap_or_else(telemetry::new_trace_id).into(),
                at(now),
            ],
        ))
        .await?;
    Ok(done.rows_affected() == 1)
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
