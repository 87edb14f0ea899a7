//! Schedules: every worker proposes the ticks that are due, and each tick becomes one job.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{NewJob, ledger, queue, timetable::Timetable};
use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    platform::db::{Transaction, at, row_lock, sql},
};

/// What runs by itself.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As stored and shown.
    pub name: &'static str,
    /// When.
    pub timetable: Timetable,
    /// The job of a tick.
    pub job: fn(DateTime<Utc>) -> Result<NewJob>,
}

/// Proposes what is due. Every worker has one; the database decides.
#[derive(Debug)]
pub struct Proposer {
    app: App,
    /// Each schedule with the newest tick that needs no more looking at.
    schedules: Vec<(Schedule, DateTime<Utc>)>,
    is_registered: bool,
}

impl Proposer {
    /// One that has not proposed anything yet.
    #[must_use]
    pub fn new(app: App, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let schedules = schedules.into_iter().map(|schedule| (schedule, DateTime::UNIX_EPOCH)).collect();
        Self { app, schedules, is_registered: false }
    }

    /// Proposes the newest tick of each schedule that is due and was not looked at yet. Returns the jobs that came of it.
    ///
    /// # Errors
    /// Those of the database; what was not proposed is the next time.
    pub async fn look(&mut self) -> Result<Vec<Uuid>> {
        let app = &self.app;
        if !self.is_registered {
            for (schedule, _) in &self.schedules {
                register(app, schedule).await?;
            }
            self.is_registered = true;
        }
        let mut jobs = Vec::new();
        for (schedule, seen) in &mut self.schedules {
            if let Some(tick) = schedule.timetable.newest_due(*seen, app.clock.now()) {
                jobs.extend(propose(app, schedule, tick).await?);
                *seen = tick;
            }
        }
        Ok(jobs)
    }
}

/// Makes a schedule known. One that is new begins now: ticks that it would have had are none that were missed.
pub(super) async fn ensure(db: &impl ConnectionTrait, now: DateTime<Utc>, schedule: &Schedule) -> Result<()> {
    let text =
        "INSERT INTO schedules (name, timetable, settled_until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let values = [schedule.name.into(), schedule.timetable.to_string().into(), at(now)];
    db.execute_raw(sql(db, text, values)).await?;
    Ok(())
}

/// Makes this worker's timetable the one that counts: of workers with different settings, that of the last to start. A
/// schedule with another timetable than before begins now, as a new one does.
async fn register(app: &App, schedule: &Schedule) -> Result<()> {
    let (db, now) = (app.db.write(), app.clock.now());
    ensure(db, now, schedule).await?;
    let text = "UPDATE schedules SET timetable = $2, settled_until = CASE WHEN settled_until < $3 THEN $3 ELSE settled_until END
        WHERE name = $1 AND timetable <> $2";
    let values = [schedule.name.into(), schedule.timetable.to_string().into(), at(now)];
    db.execute_raw(sql(db, text, values)).await?;
    Ok(())
}

/// Keeps ticks and others who would run the schedule waiting until the end of the transaction.
pub(super) async fn lock(tx: &Transaction, now: DateTime<Utc>, schedule: &Schedule) -> Result<()> {
    ensure(tx, now, schedule).await?;
    let text = format!("SELECT name FROM schedules WHERE name = $1 {}", row_lock(tx, "FOR UPDATE"));
    tx.query_one_raw(sql(tx, &text, [schedule.name.into()])).await?;
    Ok(())
}

/// The job of that kind that waits or runs, from a tick or by hand.
pub(super) async fn living(db: &impl ConnectionTrait, job: &NewJob) -> Result<Option<Uuid>> {
    let text =
        "SELECT id FROM jobs WHERE kind = $1 AND unique_key IS NOT NULL AND state IN ('queued', 'running')
        ORDER BY id LIMIT 1";
    let row = db.query_one_raw(sql(db, text, [job.kind.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// Writes the job of a tick, unless it, or a later one, has been written, or the schedule is paused or has changed.
///
/// # Errors
/// Those of the database.
pub async fn propose(app: &App, schedule: &Schedule, tick: DateTime<Utc>) -> Result<Option<Uuid>> {
    let now = app.clock.now();
    let job = (schedule.job)(tick)?.unique(rfc3339(tick));
    let tx = app.db.begin().await?;
    // The row is locked from here on, so proposals go one after the other.
    let text = "UPDATE schedules SET settled_until = $3, last_job_id = $4, last_run_at = $5
        WHERE name = $1 AND timetable = $2 AND settled_until < $3 AND paused_at IS NULL";
    let values =
        [schedule.name.into(), schedule.timetable.to_string().into(), at(tick), job.id.into(), at(now)];
    let settled = tx.execute_raw(sql(&tx, text, values)).await?;
    let text = "INSERT INTO cron_ticks (name, tick, job_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let values = [schedule.name.into(), at(tick), job.id.into(), at(now)];
    if settled.rows_affected() == 0 || tx.execute_raw(sql(&tx, text, values)).await?.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    let job = ledger::insert(&tx, now, &job).await?;
    tx.commit().await?;
    tracing::info!(schedule = schedule.name, tick = rfc3339(tick), job.id = %job.id, "a tick has become a job");
    queue::announce_soon(app, vec![job]);
    Ok(Some(job.id))
}
