//! A worker's hold on a job: claiming it, keeping it while it runs, and recording how the run ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use crate::{
    base::error::Result,
    jobs::{outcome::Outcome, policy::MAX_CRASHES},
    platform::db::{Db, at, sql},
};

/// A job that this worker has claimed.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claim {
    /// The id of the job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its payload as JSON.
    pub payload: String,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// The number of this run, from 1.
    pub attempt: i64,
    /// The start of this run.
    pub started_at: DateTime<Utc>,
    /// How many attempts may fail with a transient error.
    pub max_attempts: i64,
    /// Identifies this run: writes with another token change nothing.
    pub lease_token: Uuid,
    /// The trace of the request that enqueued it.
    pub trace: Option<String>,
    /// Whether its cancellation was requested already.
    pub cancel_requested: bool,
}

/// Claims a job that is due, or whose worker has vanished. `None` if another worker has claimed it, it is not due or
/// has ended, or its queue is paused.
pub async fn claim(
    db: &Db,
    now: DateTime<Utc>,
    lease: Duration,
    worker: &str,
    id: Uuid,
) -> Result<Option<Claim>> {
    let statement = sql(
        db.relaxed(),
        "UPDATE jobs SET
            crashes = CASE WHEN state = 'running' THEN crashes + 1 ELSE 0 END,
            state = 'running', attempt = attempt + 1, worker = $2, lease_token = $3, lease_until = $4, started_at = $5,
            progress_current = 0, progress_total = 0
         WHERE id = $1
           AND ((state = 'queued' AND run_at <= $5) OR (state = 'running' AND lease_until < $5 AND crashes < $6))
           AND NOT EXISTS (SELECT 1 FROM paused_queues p WHERE p.queue = jobs.queue)
         RETURNING id, kind, payload, owner_id, attempt, started_at, max_attempts, lease_token, trace, cancel_requested",
        [id.into(), worker.into(), Uuid::new_v4().into(), at(now + lease), at(now), (MAX_CRASHES - 1).into()],
    );
    Ok(Claim::find_by_statement(statement).one(db.relaxed()).await?)
}

/// Extends the lease and stores the progress. `None` if the lease is lost; otherwise whether a cancellation was
/// requested.
pub async fn renew(
    db: &Db,
    now: DateTime<Utc>,
    lease: Duration,
    claim: &Claim,
    progress: (i64, i64),
) -> Result<Option<bool>> {
    let row = db
        .relaxed()
        .query_one_raw(sql(
            db.relaxed(),
            "UPDATE jobs SET lease_until = $3, progress_current = $4, progress_total = $5
             WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING cancel_requested",
            [
                claim.id.into(),
                claim.lease_token.into(),
                at(now + lease),
                progress.0.into(),
                progress.1.into(),
            ],
        ))
        .await?;
    Ok(row.map(|row| row.try_get("", "cancel_requested")).transpose()?)
}

/// Records the end of a run. `false` if the lease is lost; then nothing was written.
pub async fn close(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    claim: &Claim,
    outcome: &Outcome,
) -> Result<bool> {
    let Some(state) = outcome.state() else { return Ok(false) };
    let run_at = match outcome {
        Outcome::Retry { run_at, .. } | Outcome::Postponed { run_at } | Outcome::Held { run_at, .. } => {
            Some(*run_at)
        }
        Outcome::Released => Some(now),
        _ => None,
    };
    let result = if let Outcome::Succeeded(done) = outcome { Some(done.result.to_string()) } else { None };
    let done = db
        .execute_raw(sql(
            db,
            "UPDATE jobs SET
                state = CASE WHEN $3 = 'queued' AND cancel_requested THEN 'cancelled' ELSE $3 END,
                finished_at = CASE WHEN $3 = 'queued' AND NOT cancel_requested THEN NULL ELSE $8 END,
                run_at = COALESCE($4, run_at), result = $5, error = $6, crashes = 0, attempt = attempt - $7,
                held = $9, worker = NULL, lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND state = 'running'",
            [
                claim.id.into(),
                claim.lease_token.into(),
                state.into(),
                at(run_at),
                result.into(),
                outcome.error().into(),
                i64::from(outcome.is_refunded()).into(),
                at(now),
                matches!(outcome, Outcome::Held { .. }).into(),
            ],
        ))
        .await?;
    Ok(done.rows_affected() == 1)
}
