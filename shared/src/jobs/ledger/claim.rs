//! A worker's hold on a job: claiming it, keeping it while it runs, and recording how the run ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use crate::{
    base::error::Result,
    jobs::{outcome::Outcome, policy::MAX_CRASHES, state::JobState},
    platform::db::{Db, at, row_lock, sql},
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
    Ok(claim_all(db, now, lease, worker, &[id]).await?.pop())
}

/// Claims those of these jobs that [`claim`] would claim, in one statement and under one token.
pub async fn claim_all(
    db: &Db,
    now: DateTime<Utc>,
    lease: Duration,
    worker: &str,
    ids: &[Uuid],
) -> Result<Vec<Claim>> {
    let db = db.relaxed();
    let wanted = numbered(6, ids.len());
    // Workers that claim the same jobs lock them in the same order.
    let wanted = match row_lock(db, "ORDER BY id FOR UPDATE") {
        lock if ids.len() > 1 && !lock.is_empty() => {
            format!("SELECT id FROM jobs WHERE id IN ({wanted}) {lock}")
        }
        _ => wanted,
    };
    let text = format!(
        "UPDATE jobs SET
            crashes = CASE WHEN state = 'running' THEN crashes + 1 ELSE 0 END,
            state = 'running', attempt = attempt + 1, worker = $1, lease_token = $2, lease_until = $3, started_at = $4,
            progress_current = 0, progress_total = 0
         WHERE id IN ({wanted})
           AND ((state = 'queued' AND run_at <= $4) OR (state = 'running' AND lease_until < $4 AND crashes < $5))
           AND NOT EXISTS (SELECT 1 FROM paused_queues p WHERE p.queue = jobs.queue)
         RETURNING id, kind, payload, owner_id, attempt, started_at, max_attempts, lease_token, trace, cancel_requested"
    );
    let values = [worker.into(), Uuid::new_v4().into(), at(now + lease), at(now), (MAX_CRASHES - 1).into()];
    let values = values.into_iter().chain(ids.iter().map(|id| (*id).into()));
    Ok(Claim::find_by_statement(sql(db, &text, values)).all(db).await?)
}

/// `count` placeholders from `$first` on.
fn numbered(first: usize, count: usize) -> String {
    let all: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    all.join(", ")
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
    Ok(!close_all(db, now, &[(claim, outcome)]).await?.is_empty())
}

/// Records the ends of several runs in one statement. Returns the jobs whose leases were not lost.
pub async fn close_all(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    ended: &[(&Claim, &Outcome)],
) -> Result<Vec<Uuid>> {
    let (mut rows, mut values) = (Vec::with_capacity(ended.len()), vec![at(now)]);
    for (claim, outcome) in ended {
        let Some(state) = outcome.state() else { continue };
        rows.push(format!("({})", numbered(values.len() + 1, 8)));
        values.extend(end_of_run(now, claim, outcome, state));
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "WITH ended (id, token, state, run_at, result, error, refunded, held) AS (VALUES {})
         UPDATE jobs SET
            state = CASE WHEN ended.state = 'queued' AND cancel_requested THEN 'cancelled' ELSE ended.state END,
            finished_at = CASE WHEN ended.state = 'queued' AND NOT cancel_requested THEN NULL ELSE $1 END,
            run_at = COALESCE(ended.run_at, jobs.run_at), result = ended.result, error = ended.error, crashes = 0,
            attempt = attempt - ended.refunded, held = ended.held, worker = NULL, lease_token = NULL, lease_until = NULL
         FROM ended WHERE jobs.id = ended.id AND jobs.lease_token = ended.token AND jobs.state = 'running'
         RETURNING jobs.id",
        rows.join(", ")
    );
    let closed = db.query_all_raw(sql(db, &text, values)).await?;
    Ok(closed.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}

fn end_of_run(now: DateTime<Utc>, claim: &Claim, outcome: &Outcome, state: JobState) -> [Value; 8] {
    let run_at = match outcome {
        Outcome::Retry { run_at, .. } | Outcome::Postponed { run_at } | Outcome::Held { run_at, .. } => {
            Some(*run_at)
        }
        Outcome::Released => Some(now),
        _ => None,
    };
    let result = if let Outcome::Succeeded(done) = outcome { Some(done.result.to_string()) } else { None };
    [
        claim.id.into(),
        claim.lease_token.into(),
        state.into(),
        at(run_at),
        result.into(),
        outcome.error().into(),
        i64::from(outcome.is_refunded()).into(),
        matches!(outcome, Outcome::Held { .. }).into(),
    ]
}
