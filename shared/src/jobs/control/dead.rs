//! Dead jobs: listing them, retrying them and removing them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
        time::wire,
    },
    jobs::{
        change::Change,
        ledger::{self, Enqueued},
        state::JobState,
        status, transport,
    },
    platform::{
        audit::{self, Action, Actor, Object},
        db::{at, sql, violates},
        queue::Queue,
    },
};

/// A job that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct DeadJob {
    /// The id of the job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// How many times it was run.
    pub attempt: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was enqueued.
    #[serde(with = "wire")]
    pub created_at: DateTime<Utc>,
    /// When it failed.
    #[serde(with = "wire::option")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// Dead jobs, the newest first.
pub async fn list_dead(app: &App, page: &Page<Uuid>) -> Result<Paged<DeadJob>> {
    let db = app.db.read();
    let text = "SELECT id, kind, queue, owner_id, unique_key, attempt, error, created_at, finished_at
        FROM jobs WHERE state = 'failed' AND ($1 IS NULL OR id < $1) ORDER BY id DESC LIMIT $2";
    let statement = sql(db, text, [page.after.into(), page.fetch_limit().into()]);
    Ok(page.trim(DeadJob::find_by_statement(statement).all(db).await?))
}

/// Which dead jobs to change.
#[derive(Debug, Clone)]
pub enum Dead {
    /// This one.
    One(Uuid),
    /// All, or all of a kind.
    All(Option<String>),
}

/// How many jobs one transaction changes: other writers of SQLite wait for it.
const BATCH: i64 = 500;

/// How often a batch is tried: a job with the unique key of one of them may be enqueued at the same moment.
const MAX_TRIES: usize = 5;

/// The dead jobs `d` that may be queued again: of several with the same unique key only the newest, and none if a job
/// with the key is live.
const MAY_RUN_AGAIN: &str = "(d.unique_key IS NULL OR (
    NOT EXISTS (SELECT 1 FROM jobs l WHERE l.kind = d.kind AND l.unique_key = d.unique_key AND l.state IN ('queued', 'running'))
    AND ($2 IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM jobs n WHERE n.kind = d.kind AND n.unique_key = d.unique_key AND n.state = 'failed' AND n.id > d.id))))";

/// Retries dead jobs, with attempts counted from 1, and returns their number. Of several with the same unique key only
/// the newest is retried, and none if a job with the key is queued or running.
///
/// # Errors
/// For one job: [`Error::NotFound`]; [`Error::Conflict`] if it is not dead or a job with its key is queued or running.
pub async fn requeue(app: &App, by: &Actor, which: &Dead) -> Result<u64> {
    let text = format!(
        "UPDATE jobs SET state = 'queued', attempt = 0, crashes = 0, run_at = $1, cancel_requested = FALSE, progress_current = 0,
            progress_total = 0, result = NULL, error = NULL, started_at = NULL, finished_at = NULL
         WHERE state = 'failed' AND id IN ({}) RETURNING id, queue, state",
        batch(&format!("AND {MAY_RUN_AGAIN}"))
    );
    let jobs = change(app, by, Action::JobsRequeued, which, &text).await?;
    tracing::info!(by.id = by.user_id, ?which, jobs, "dead jobs requeued");
    Ok(jobs)
}

/// Removes dead jobs and rows that refer to them, and returns their number.
///
/// # Errors
/// For one job: [`Error::NotFound`]; [`Error::Conflict`] if it is not dead.
pub async fn purge(app: &App, by: &Actor, which: &Dead) -> Result<u64> {
    let text = format!(
        "DELETE FROM jobs WHERE state = 'failed' AND id IN ({}) RETURNING id, queue, state",
        batch("")
    );
    let jobs = change(app, by, Action::JobsPurged, which, &text).await?;
    tracing::info!(by.id = by.user_id, ?which, jobs, "dead jobs purged");
    Ok(jobs)
}

/// The ids of one batch of dead jobs, without those that failed after `$1`.
fn batch(condition: &str) -> String {
    format!(
        "SELECT d.id FROM jobs d WHERE d.state = 'failed' AND d.finished_at <= $1 AND ($2 IS NULL OR d.id = $2)
            AND ($3 IS NULL OR d.kind = $3) {condition} ORDER BY d.id DESC LIMIT {BATCH}"
    )
}

/// Runs the statement until it finds no more jobs.
async fn change(app: &App, by: &Actor, action: Action, which: &Dead, text: &str) -> Result<u64> {
    let (now, mut changed) = (app.clock.now(), 0);
    loop {
        let jobs = change_batch(app, (by, action), which, text, now).await?;
        changed += jobs.len() as u64;
        let is_last = jobs.len() < BATCH as usize;
        publish_soon(app, jobs);
        if is_last {
            break;
        }
    }
    match which {
        Dead::One(id) if changed == 0 => Err(explain_no_change(app, *id).await?),
        _ => Ok(changed),
    }
}

async fn change_batch(
    app: &App,
    (by, action): (&Actor, Action),
    which: &Dead,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Enqueued>> {
    let (id, kind) = match which {
        Dead::One(id) => (Some(*id), None),
        Dead::All(kind) => (None, kind.clone()),
    };
    let is_duplicate = |error: &DbErr| violates(error, "jobs_one_live_a_key", "jobs.unique_key");
    let mut tries = 1;
    let (change, rows) = loop {
        let change = Change::begin(app).await?;
        let values = [at(now), id.into(), kind.clone().into()];
        match change.tx().query_all_raw(sql(change.tx(), text, values)).await {
            Err(error) if tries < MAX_TRIES && is_duplicate(&error) => tries += 1,
            rows => break (change, rows?),
        }
    };
    if !rows.is_empty() {
        let details = json!({ "job": id, "kind": kind, "count": rows.len() });
        audit::record(change.tx(), now, by, action, Object::Jobs, &details).await?;
    }
    change.commit().await?;
    let job = |row: &QueryResult| {
        let queue = Queue::named(&row.try_get::<String>("", "queue")?).unwrap_or(Queue::Maintenance);
        let due = row.try_get::<JobState>("", "state")? == JobState::Queued;
        Ok(Enqueued { id: row.try_get("", "id")?, queue, due })
    };
    rows.iter().map(job).collect()
}

/// Deletes the old statuses, then announces the requeued jobs.
fn publish_soon(app: &App, jobs: Vec<Enqueued>) {
    let redis = app.redis.clone();
    app.tasks.spawn(async move {
        status::delete(&redis, jobs.iter().map(|job| job.id)).await;
        transport::announce(&redis, &jobs).await;
    });
}

async fn explain_no_change(app: &App, id: Uuid) -> Result<Error> {
    Ok(match ledger::find(&app.db, id).await?.map(|row| row.state) {
        None => Error::NotFound("job"),
        Some(JobState::Failed) => {
            Error::conflict("job_lives", "another job with the same unique key is queued or running")
        }
        Some(_) => Error::conflict("job_not_dead", "the job is not dead"),
    })
}
