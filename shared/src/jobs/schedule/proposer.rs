//! Turns due ticks into jobs. Every worker proposes; the database accepts each tick once.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::timetable::Timetable;
use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    jobs::{change::Change, job::NewJob},
    platform::db::{Transaction, at, row_lock, sql},
};

/// A job that is enqueued at certain times.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The name that is stored and shown.
    pub name: &'static str,
    /// The due times.
    pub timetable: Timetable,
    /// Makes the job of a tick.
    pub job: fn(DateTime<Utc>) -> Result<NewJob>,
}

/// Proposes the due ticks of a worker's schedules.
#[derive(Debug)]
pub struct Proposer {
    app: App,
    /// Each schedule with the newest tick that has been proposed.
    schedules: Vec<(Schedule, DateTime<Utc>)>,
    is_registered: bool,
}

impl Proposer {
    /// A proposer that has not proposed anything yet.
    #[must_use]
    pub fn new(app: App, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let schedules = schedules.into_iter().map(|schedule| (schedule, DateTime::UNIX_EPOCH)).collect();
        Self { app, schedules, is_registered: false }
    }

    /// Proposes the newest due tick of each schedule, unless the clock is wrong. Returns the jobs that this enqueued. After an error, the next call
    /// proposes the rest.
    pub async fn propose_due(&mut self) -> Result<Vec<Uuid>> {
        let app = &self.app;
        if app.wrong_clock().await.is_some() {
            return Ok(Vec::new());
        }
        if !self.is_registered {
            for (schedule, _) in &self.schedules {
                register(app, schedule).await?;
            }
            self.is_registered = true;
        }
        let mut jobs = Vec::new();
        for (schedule, proposed) in &mut self.schedules {
            if let Some(tick) = schedule.timetable.newest_due(*proposed, app.clock.now()) {
                jobs.extend(propose(app, schedule, tick).await?);
                *proposed = tick;
            }
        }
        Ok(jobs)
    }
}

/// Writes the row of a schedule if there is none. A new schedule begins now and has missed no ticks.
pub async fn ensure_row(db: &impl ConnectionTrait, now: DateTime<Utc>, schedule: &Schedule) -> Result<()> {
    let text =
        "INSERT INTO schedules (name, timetable, settled_until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let values = [schedule.name.into(), schedule.timetable.to_string().into(), at(now)];
    db.execute_raw(sql(db, text, values)).await?;
    Ok(())
}

/// Makes this worker's timetable the valid one: if settings differ, the worker that started last decides. A schedule
/// whose timetable has changed begins now, like a new one.
async fn register(app: &App, schedule: &Schedule) -> Result<()> {
    let (db, now) = (app.db.write(), app.clock.now());
    ensure_row(db, now, schedule).await?;
    let text = "UPDATE schedules SET timetable = $2, settled_until = CASE WHEN settled_until < $3 THEN $3 ELSE settled_until END
        WHERE name = $1 AND timetable <> $2";
    let values = [schedule.name.into(), schedule.timetable.to_string().into(), at(now)];
    db.execute_raw(sql(db, text, values)).await?;
    Ok(())
}

/// Blocks other transactions that enqueue a job of the schedule until the end of this one.
pub async fn lock_row(tx: &Transaction, now: DateTime<Utc>, schedule: &Schedule) -> Result<()> {
    ensure_row(tx, now, schedule).await?;
    let text = format!("SELECT name FROM schedules WHERE name = $1 {}", row_lock(tx, "FOR UPDATE"));
    tx.query_one_raw(sql(tx, &text, [schedule.name.into()])).await?;
    Ok(())
}

/// The queued or running job of a schedule, whether enqueued by a tick or an operator.
pub async fn find_live_job(db: &impl ConnectionTrait, job: &NewJob) -> Result<Option<Uuid>> {
    let text =
        "SELECT id FROM jobs WHERE kind = $1 AND unique_key IS NOT NULL AND state IN ('queued', 'running')
        ORDER BY id LIMIT 1";
    let row = db.query_one_raw(sql(db, text, [job.kind.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// Enqueues the job of a tick, unless this or a later tick has a job already, or the schedule is paused or has changed.
async fn propose(app: &App, schedule: &Schedule, tick: DateTime<Utc>) -> Result<Option<Uuid>> {
    let now = app.clock.now();
    let job = (schedule.job)(tick)?.unique(rfc3339(tick));
    let mut change = Change::begin(app).await?;
    let tx = change.tx();
    // This locks the row, so proposals are handled one at a time.
    let text = "UPDATE schedules SET settled_until = $3, last_job_id = $4, last_run_at = $5
        WHERE name = $1 AND timetable = $2 AND settled_until < $3 AND paused_at IS NULL";
    let values =
        [schedule.name.into(), schedule.timetable.to_string().into(), at(tick), job.id.into(), at(now)];
    let settled = tx.execute_raw(sql(tx, text, values)).await?;
    let text = "INSERT INTO cron_ticks (name, tick, job_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let values = [schedule.name.into(), at(tick), job.id.into(), at(now)];
    if settled.rows_affected() == 0 || tx.execute_raw(sql(tx, text, values)).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let id = change.enqueue(&job).await?;
    change.commit().await?;
    tracing::info!(schedule = schedule.name, tick = rfc3339(tick), job.id = %id, "scheduled job enqueued");
    Ok(Some(id))
}
