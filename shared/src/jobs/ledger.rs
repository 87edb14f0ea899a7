//! The ledger: what happens to a job's row, one statement each. Late writers are fenced off by the lease token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use serde::Serialize;
use uuid::Uuid;

pub use super::policy::Close;
use super::{Job, Queue, new_id, policy::MAX_CRASHES};
use crate::{
    base::error::Result,
    platform::{
        db::{Db, at, sql},
        entities::job,
        telemetry,
    },
};

/// A job that is about to be written into the ledger.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Also the task id that users see.
    pub id: Uuid,
    pub(super) kind: &'static str,
    queue: Queue,
    payload: String,
    max_attempts: i64,
    owner_id: Option<i64>,
    unique_key: Option<String>,
    run_at: Option<DateTime<Utc>>,
}

impl NewJob {
    /// A job that does what `job` says.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the payload has no JSON form.
    pub fn of<J: Job>(job: &J) -> Result<Self> {
        Ok(Self {
            id: new_id(),
            kind: J::NAME,
            queue: J::QUEUE,
            payload: to_json(job)?,
            max_attempts: J::MAX_ATTEMPTS,
            owner_id: None,
            unique_key: None,
            run_at: None,
        })
    }

    /// Belongs to this user, who may see and cancel it.
    #[must_use]
    pub fn owner(mut self, user_id: i64) -> Self {
        self.owner_id = Some(user_id);
        self
    }

    /// At most one live job of its kind has this key.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Not before this instant.
    #[must_use]
    pub fn run_at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self
    }
}

/// A job that stands in the ledger and can be announced in Redis once the transaction is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job, or the living one with the same unique key.
    pub id: Uuid,
    /// Where it waits.
    pub queue: Queue,
    /// Whether it can run now; one for later is left to the relay.
    pub due: bool,
}

/// A job that this worker holds.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claim {
    /// Which job.
    pub id: Uuid,
    /// What kind.
    pub kind: String,
    /// The kind's own data.
    pub payload: String,
    /// Whose.
    pub owner_id: Option<i64>,
    /// Which run this is, from 1.
    pub attempt: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How many there may be.
    pub max_attempts: i64,
    /// The fence: writes without it change nothing.
    pub lease_token: Uuid,
    /// The trace of the request that asked for it.
    pub trace: Option<String>,
    /// Whether its owner has already given it up.
    pub cancel_requested: bool,
}

/// Writes a job, in the caller's transaction. A living job with the same unique key is returned instead.
///
/// # Errors
/// Those of the database.
pub async fn insert(db: &impl ConnectionTrait, now: DateTime<Utc>, job: &NewJob) -> Result<Enqueued> {
    let run_at = job.run_at.unwrap_or(now);
    let enqueued = |id| Enqueued { id, queue: job.queue, due: run_at <= now };
    loop {
        if try_to_insert(db, now, run_at, job).await? {
            return Ok(enqueued(job.id));
        }
        // The living one may end before it is found, and then this one is to be written after all.
        if let Some(id) = living(db, job).await? {
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

async fn living(db: &impl ConnectionTrait, job: &NewJob) -> Result<Option<Uuid>> {
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT id FROM jobs WHERE kind = $1 AND unique_key = $2 AND state IN ('queued', 'running')",
            [job.kind.into(), job.unique_key.clone().into()],
        ))
        .await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// Takes a job that is due, or whose worker has vanished. `None`: somebody else has it, or it has ended.
///
/// # Errors
/// Those of the database.
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

/// Keeps a job for another `lease` and stores its progress. `None`: the job is not ours any more; otherwise
/// whether its owner wants it stopped.
///
/// # Errors
/// Those of the database.
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

/// Ends a run. `false`: the lease was lost, somebody else has the job, and nothing was written.
///
/// # Errors
/// Those of the database.
pub async fn close(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    claim: &Claim,
    how: Close<'_>,
) -> Result<bool> {
    let (state, run_at, result, error): (&str, Option<DateTime<Utc>>, Option<&str>, Option<&str>) = match how
    {
        Close::Succeeded(result) => ("succeeded", None, Some(result), None),
        Close::Failed(error) => ("failed", None, None, Some(error)),
        Close::Cancelled => ("cancelled", None, None, None),
        Close::Retry(run_at, error) => ("queued", Some(run_at), None, Some(error)),
        Close::Release => ("queued", Some(now), None, None),
        Close::Postpone(run_at) => ("queued", Some(run_at), None, None),
    };
    let given_back = i64::from(matches!(how, Close::Release | Close::Postpone(_)));
    let done = db
        .execute_raw(sql(
            db,
            "UPDATE jobs SET
                state = CASE WHEN $3 = 'queued' AND cancel_requested THEN 'cancelled' ELSE $3 END,
                finished_at = CASE WHEN $3 = 'queued' AND NOT cancel_requested THEN NULL ELSE $8 END,
                run_at = COALESCE($4, run_at), result = $5, error = $6, crashes = 0, attempt = attempt - $7,
                worker = NULL, lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND state = 'running'",
            [
                claim.id.into(),
                claim.lease_token.into(),
                state.into(),
                at(run_at),
                result.into(),
                error.into(),
                given_back.into(),
                at(now),
            ],
        ))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Asks for a job's end: a waiting one is cancelled at once, a running one is flagged. Returns the state before.
///
/// # Errors
/// Those of the database.
pub async fn cancel(db: &Db, now: DateTime<Utc>, id: Uuid) -> Result<Option<job::Model>> {
    let text = format!("{CANCEL} AND id = $2");
    db.write().execute_raw(sql(db.write(), &text, [at(now), id.into()])).await?;
    find(db, id).await
}

/// The same for all jobs of one kind that a user has, in the caller's transaction.
///
/// # Errors
/// Those of the database.
pub async fn cancel_all(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    owner_id: i64,
    kind: &str,
) -> Result<()> {
    let text = format!("{CANCEL} AND owner_id = $2 AND kind = $3");
    db.execute_raw(sql(db, &text, [at(now), owner_id.into(), kind.into()])).await?;
    Ok(())
}

const CANCEL: &str = "UPDATE jobs SET
        cancel_requested = TRUE,
        finished_at = CASE WHEN state = 'queued' THEN $1 ELSE finished_at END,
        state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END
    WHERE state IN ('queued', 'running')";

/// The job's row.
///
/// # Errors
/// Those of the database.
pub async fn find(db: &Db, id: Uuid) -> Result<Option<job::Model>> {
    Ok(job::Entity::find_by_id(id).one(db.read()).await?)
}

/// The rows of several jobs, in no order.
///
/// # Errors
/// Those of the database.
pub async fn find_all(db: &Db, ids: &[Uuid]) -> Result<Vec<job::Model>> {
    let mut rows = Vec::with_capacity(ids.len());
    for some in ids.chunks(1_000) {
        let wanted = job::Entity::find().filter(job::Column::Id.is_in(some.iter().copied()));
        rows.extend(wanted.all(db.read()).await?);
    }
    Ok(rows)
}

fn to_json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value).map_err(|e| anyhow::Error::new(e).context("the payload of a job"))?)
}
