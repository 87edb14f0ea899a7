//! What operators see: schedules, queues, running and dead jobs, and one job whole.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Queue, ledger, schedule::Schedule};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
        time::wire,
    },
    platform::{
        db::{at, sql},
        entities::job,
    },
};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRow {
    /// Its name.
    pub name: &'static str,
    /// When it runs: a cron expression and the zone in which it is read.
    pub timetable: String,
    /// When it runs next; not while it is paused.
    #[serde(with = "wire::option")]
    pub next_run: Option<DateTime<Utc>>,
    /// When its last job was made, by a tick or by hand.
    #[serde(with = "wire::option")]
    pub last_run: Option<DateTime<Utc>>,
    /// That job.
    pub last_job_id: Option<Uuid>,
    /// The state of that job, unless it was forgotten.
    pub last_state: Option<String>,
    /// Since when it is paused.
    #[serde(with = "wire::option")]
    pub paused_at: Option<DateTime<Utc>>,
    /// By which administrator; none when by the command line.
    pub paused_by: Option<i64>,
}

#[derive(FromQueryResult)]
struct Known {
    name: String,
    last_run_at: Option<DateTime<Utc>>,
    last_job_id: Option<Uuid>,
    last_state: Option<String>,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<i64>,
}

/// Where these schedules stand.
///
/// # Errors
/// Those of the database.
pub async fn schedules(app: &App, schedules: &[Schedule]) -> Result<Vec<ScheduleRow>> {
    let db = app.db.read();
    let text = "SELECT s.name, s.last_run_at, s.last_job_id, j.state AS last_state, s.paused_at, s.paused_by
        FROM schedules s LEFT JOIN jobs j ON j.id = s.last_job_id";
    let known = Known::find_by_statement(sql(db, text, [])).all(db).await?;
    let row = |schedule: &Schedule| {
        let known = known.iter().find(|known| known.name == schedule.name);
        let paused_at = known.and_then(|known| known.paused_at);
        ScheduleRow {
            name: schedule.name,
            timetable: schedule.timetable.to_string(),
            next_run: schedule.timetable.after(app.clock.now()).next().filter(|_| paused_at.is_none()),
            last_run: known.and_then(|known| known.last_run_at),
            last_job_id: known.and_then(|known| known.last_job_id),
            last_state: known.and_then(|known| known.last_state.clone()),
            paused_at,
            paused_by: known.and_then(|known| known.paused_by),
        }
    };
    Ok(schedules.iter().map(row).collect())
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// Its name.
    pub name: &'static str,
    /// Jobs that wait, retries included.
    pub waiting: i64,
    /// Those of them whose time has come.
    pub due: i64,
    /// For how many seconds the oldest of these could have been run.
    pub oldest_seconds: Option<i64>,
    /// Jobs that are being run.
    pub running: i64,
    /// Since when it is paused.
    #[serde(with = "wire::option")]
    pub paused_at: Option<DateTime<Utc>>,
    /// By which administrator; none when by the command line.
    pub paused_by: Option<i64>,
}

#[derive(FromQueryResult)]
struct Depth {
    queue: String,
    waiting: i64,
    due: i64,
    running: i64,
    oldest: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<i64>,
}

/// Where the queues stand.
///
/// # Errors
/// Those of the database.
pub async fn queues(app: &App) -> Result<Vec<QueueRow>> {
    let (db, now) = (app.db.read(), app.clock.now());
    let depths = Queue::ALL.map(|queue| {
        let queue = queue.name();
        format!(
            "SELECT '{queue}' AS queue,
                (SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND queue = '{queue}') AS waiting,
                (SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND queue = '{queue}' AND run_at <= $1) AS due,
                (SELECT COUNT(*) FROM jobs WHERE state = 'running' AND queue = '{queue}') AS running,
                (SELECT MIN(run_at) FROM jobs WHERE state = 'queued' AND queue = '{queue}') AS oldest,
                (SELECT paused_at FROM paused_queues WHERE queue = '{queue}') AS paused_at,
                (SELECT paused_by FROM paused_queues WHERE queue = '{queue}') AS paused_by"
        )
    });
    let statement = sql(db, &depths.join(" UNION ALL "), [at(now)]);
    let depths = Depth::find_by_statement(statement).all(db).await?;
    let row = |depth: Depth| {
        Some(QueueRow {
            name: Queue::named(&depth.queue)?.name(),
            waiting: depth.waiting,
            due: depth.due,
            oldest_seconds: depth
                .oldest
                .filter(|oldest| *oldest <= now)
                .map(|oldest| (now - oldest).num_seconds()),
            running: depth.running,
            paused_at: depth.paused_at,
            paused_by: depth.paused_by,
        })
    };
    Ok(depths.into_iter().filter_map(row).collect())
}

/// A job that a worker is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct RunningJob {
    /// Which job.
    pub id: Uuid,
    /// What kind.
    pub kind: String,
    /// Where it waited.
    pub queue: String,
    /// Who runs it.
    pub worker: Option<String>,
    /// Whose it is.
    pub owner_id: Option<i64>,
    /// Which run this is, from 1.
    pub attempt: i64,
    /// How many there may be.
    pub max_attempts: i64,
    /// How far it is, as of the last second or so.
    pub progress_current: i64,
    /// Of how much.
    pub progress_total: i64,
    /// Since when.
    #[serde(with = "wire::option")]
    pub started_at: Option<DateTime<Utc>>,
}

/// More running jobs than anybody looks at.
const MOST_RUNNING: i64 = 1_000;

/// Running jobs, the longest at it first.
///
/// # Errors
/// Those of the database.
pub async fn running(app: &App) -> Result<Vec<RunningJob>> {
    let db = app.db.read();
    let text = "SELECT id, kind, queue, worker, owner_id, attempt, max_attempts, progress_current, progress_total, started_at
        FROM jobs WHERE state = 'running' ORDER BY started_at, id LIMIT $1";
    Ok(RunningJob::find_by_statement(sql(db, text, [MOST_RUNNING.into()])).all(db).await?)
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct DeadJob {
    /// Which job.
    pub id: Uuid,
    /// What kind.
    pub kind: String,
    /// Where it would wait.
    pub queue: String,
    /// Whose it is.
    pub owner_id: Option<i64>,
    /// What keeps a second one away while it lives.
    pub unique_key: Option<String>,
    /// How often it was run.
    pub attempt: i64,
    /// Why it was given up.
    pub error: Option<String>,
    /// When it was asked for.
    #[serde(with = "wire")]
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    #[serde(with = "wire::option")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// Dead jobs, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn dead(app: &App, page: &Page<Uuid>) -> Result<Paged<DeadJob>> {
    let db = app.db.read();
    let text = "SELECT id, kind, queue, owner_id, unique_key, attempt, error, created_at, finished_at
        FROM jobs WHERE state = 'failed' AND ($1 IS NULL OR id < $1) ORDER BY id DESC LIMIT $2";
    let statement = sql(db, text, [page.after.into(), page.fetch_limit().into()]);
    Ok(page.trim(DeadJob::find_by_statement(statement).all(db).await?))
}

/// A job with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WholeJob {
    /// Which job.
    pub id: Uuid,
    /// What kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// What it is to do.
    pub payload: Value,
    /// What came of it.
    pub result: Option<Value>,
    /// Why its last run failed.
    pub error: Option<String>,
    /// Whose it is.
    pub owner_id: Option<i64>,
    /// What keeps a second one away while it lives.
    pub unique_key: Option<String>,
    /// Which run is its last, from 1.
    pub attempt: i64,
    /// How many there may be.
    pub max_attempts: i64,
    /// How many workers in a row have vanished while running it.
    pub crashes: i64,
    /// Who runs it.
    pub worker: Option<String>,
    /// Whether its end was asked for.
    pub cancel_requested: bool,
    /// How far it is.
    pub progress_current: i64,
    /// Of how much.
    pub progress_total: i64,
    /// The id of the request that asked for it, as in the logs.
    pub trace: Option<String>,
    /// When it was asked for.
    #[serde(with = "wire")]
    pub created_at: DateTime<Utc>,
    /// Not before then.
    #[serde(with = "wire")]
    pub run_at: DateTime<Utc>,
    /// When its last run began.
    #[serde(with = "wire::option")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(with = "wire::option")]
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<job::Model> for WholeJob {
    fn from(row: job::Model) -> Self {
        let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
        Self {
            id: row.id,
            kind: row.kind,
            queue: row.queue,
            state: row.state,
            payload: read(&row.payload),
            result: row.result.as_deref().map(read),
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

/// One job.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn whole(app: &App, id: Uuid) -> Result<WholeJob> {
    ledger::find(&app.db, id).await?.map(WholeJob::from).ok_or(Error::NotFound("job"))
}
