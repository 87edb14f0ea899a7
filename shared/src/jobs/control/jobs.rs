//! Running jobs, and a single job with all its details.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        time::wire,
    },
    jobs::{
        ledger::{self, row},
        state::JobState,
    },
    platform::db::sql,
};

/// A running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct RunningJob {
    /// The id of the job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The worker that runs it.
    pub worker: Option<String>,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// The number of this run, from 1.
    pub attempt: i64,
    /// How many attempts may fail with a transient error.
    pub max_attempts: i64,
    /// Its progress, at most about a second old.
    pub progress_current: i64,
    /// What `progress_current` is when the work is done.
    pub progress_total: i64,
    /// When this run began.
    #[serde(with = "wire::option")]
    pub started_at: Option<DateTime<Utc>>,
}

const MAX_LISTED: i64 = 1_000;

/// The longest-running jobs, at most 1,000.
pub async fn list_running(app: &App) -> Result<Vec<RunningJob>> {
    let db = app.db.read();
    let text = "SELECT id, kind, queue, worker, owner_id, attempt, max_attempts, progress_current, progress_total, started_at
        FROM jobs WHERE state = 'running' ORDER BY started_at, id LIMIT $1";
    Ok(RunningJob::find_by_statement(sql(db, text, [MAX_LISTED.into()])).all(db).await?)
}

/// A job that has failed and will be tried again, or that waits for a system that is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct RetryingJob {
    /// The id of the job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// How many attempts have failed.
    pub attempt: i64,
    /// How many attempts may fail with a transient error.
    pub max_attempts: i64,
    /// Whether it waits until another system is back.
    pub held: bool,
    /// Why it failed, or what it waits for.
    pub error: String,
    /// The time of the next attempt, at the latest.
    #[serde(with = "wire")]
    pub next_try: DateTime<Utc>,
}

/// Jobs that wait for another attempt, the next one first.
pub async fn list_retrying(app: &App, limit: i64) -> Result<Vec<RetryingJob>> {
    let db = app.db.read();
    let text = "SELECT id, kind, queue, owner_id, attempt, max_attempts, held, error, run_at AS next_try
        FROM jobs WHERE state = 'queued' AND error IS NOT NULL ORDER BY run_at, id LIMIT $1";
    Ok(RetryingJob::find_by_statement(sql(db, text, [limit.into()])).all(db).await?)
}

/// Everything in the ledger about a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobDetails {
    /// The id of the job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: JobState,
    /// What it is to do.
    pub payload: Value,
    /// What it has returned.
    pub result: Option<Value>,
    /// Why its last run failed.
    pub error: Option<String>,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// Keeps other jobs of its kind with the same key from being enqueued while it is queued or running.
    pub unique_key: Option<String>,
    /// The number of its last run, from 1.
    pub attempt: i64,
    /// How many attempts may fail with a transient error.
    pub max_attempts: i64,
    /// How many workers in a row have vanished while running it.
    pub crashes: i64,
    /// The worker that runs it.
    pub worker: Option<String>,
    /// Whether its cancellation was requested.
    pub cancel_requested: bool,
    /// Its progress.
    pub progress_current: i64,
    /// What `progress_current` is when the work is done.
    pub progress_total: i64,
    /// The trace of the request that enqueued it, as in the logs.
    pub trace: Option<String>,
    /// When it was enqueued.
    #[serde(with = "wire")]
    pub created_at: DateTime<Utc>,
    /// The earliest time of its next run.
    #[serde(with = "wire")]
    pub run_at: DateTime<Utc>,
    /// When its last run began.
    #[serde(with = "wire::option")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(with = "wire::option")]
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<row::Model> for JobDetails {
    fn from(row: row::Model) -> Self {
        let parse = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
        Self {
            id: row.id,
            kind: row.kind,
            queue: row.queue,
            state: row.state,
            payload: parse(&row.payload),
            result: row.result.as_deref().map(parse),
            error: row.error,
            owner_id: row.owner_id,
            unique_key: row.unique_key,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            crashes: row.crashes,
            worker: row.worker,
            cancel_requested: row.cancel_requested,
            progress_current: row.progress_current,
            progress_total: row.progress_total,
            trace: row.trace,
            created_at: row.created_at,
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// A job with its details.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn find_details(app: &App, id: Uuid) -> Result<JobDetails> {
    ledger::find(&app.db, id).await?.map(JobDetails::from).ok_or(Error::NotFound("job"))
}
