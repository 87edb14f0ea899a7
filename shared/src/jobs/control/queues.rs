//! Queues: how much waits in them, and pausing them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use serde_json::json;

use crate::{
    app::App,
    base::{error::Result, time::wire},
    jobs::change::Change,
    platform::{
        audit::{self, Action, Actor, Object},
        db::{Db, at, sql},
        queue::Queue,
    },
};

/// The jobs of a queue that are due.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Backlog {
    /// The name of the queue.
    pub queue: String,
    /// How many jobs are due.
    pub jobs: i64,
    /// When the first of them became due.
    pub oldest: DateTime<Utc>,
}

/// The backlogs of all queues in which a job is due.
pub async fn list_backlogs(db: &Db, now: DateTime<Utc>) -> Result<Vec<Backlog>> {
    let text = "SELECT queue, COUNT(*) AS jobs, MIN(run_at) AS oldest FROM jobs
         WHERE state = 'queued' AND run_at <= $1 GROUP BY queue";
    Ok(Backlog::find_by_statement(sql(db.read(), text, [at(now)])).all(db.read()).await?)
}

/// A queue, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// The name of the queue.
    pub name: &'static str,
    /// Waiting jobs, including retries for later.
    pub waiting: i64,
    /// Those of them that could run now.
    pub due: i64,
    /// For how many seconds the oldest of these has been due.
    pub oldest_seconds: Option<i64>,
    /// Running jobs.
    pub running: i64,
    /// Since when the queue is paused.
    #[serde(with = "wire::option")]
    pub paused_at: Option<DateTime<Utc>>,
    /// The administrator who paused it; `None` if it was paused on the command line.
    pub paused_by: Option<i64>,
}

#[derive(FromQueryResult)]
struct Counts {
    queue: String,
    waiting: i64,
    due: i64,
    running: i64,
    oldest: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<i64>,
}

/// All queues.
pub async fn list_queues(app: &App) -> Result<Vec<QueueRow>> {
    let (db, now) = (app.db.read(), app.clock.now());
    let selects = Queue::ALL.map(|queue| {
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
    let statement = sql(db, &selects.join(" UNION ALL "), [at(now)]);
    let counts = Counts::find_by_statement(statement).all(db).await?;
    let row = |counts: Counts| {
        let oldest = counts.oldest.filter(|oldest| *oldest <= now);
        Some(QueueRow {
            name: Queue::named(&counts.queue)?.name(),
            waiting: counts.waiting,
            due: counts.due,
            oldest_seconds: oldest.map(|oldest| (now - oldest).num_seconds()),
            running: counts.running,
            paused_at: counts.paused_at,
            paused_by: counts.paused_by,
        })
    };
    Ok(counts.into_iter().filter_map(row).collect())
}

/// Stops all workers from taking jobs of a queue. Running jobs continue.
pub async fn pause_queue(app: &App, by: &Actor, queue: Queue) -> Result<()> {
    let (change, now) = (Change::begin(app).await?, app.clock.now());
    let text =
        "INSERT INTO paused_queues (queue, paused_by, paused_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let values = [queue.name().into(), by.user_id.into(), at(now)];
    let paused = change.tx().execute_raw(sql(change.tx(), text, values)).await?;
    if paused.rows_affected() > 0 {
        record(&change, now, by, Action::QueuePaused, queue).await?;
    }
    change.commit().await?;
    tracing::info!(by.id = by.user_id, queue = queue.name(), "queue paused");
    Ok(())
}

/// Lets workers take jobs of a queue again, within a second or two.
pub async fn resume_queue(app: &App, by: &Actor, queue: Queue) -> Result<()> {
    let (change, now) = (Change::begin(app).await?, app.clock.now());
    let text = "DELETE FROM paused_queues WHERE queue = $1";
    let resumed = change.tx().execute_raw(sql(change.tx(), text, [queue.name().into()])).await?;
    if resumed.rows_affected() > 0 {
        record(&change, now, by, Action::QueueResumed, queue).await?;
    }
    change.commit().await?;
    tracing::info!(by.id = by.user_id, queue = queue.name(), "queue resumed");
    Ok(())
}

async fn record(change: &Change, now: DateTime<Utc>, by: &Actor, action: Action, queue: Queue) -> Result<()> {
    audit::record(change.tx(), now, by, action, Object::Jobs, &json!({ "queue": queue.name() })).await
}
