//! Schedules: their last and next runs, pausing them, and running one now.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    base::{error::Result, time::wire},
    jobs::{
        change::Change,
        schedule::{self, Schedule},
        state::JobState,
    },
    platform::{
        audit::{self, Action, Actor, Object},
        db::{at, sql},
        idempotency::Idempotency,
    },
};

/// A schedule, for operators.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRow {
    /// The name of the schedule.
    pub name: &'static str,
    /// A cron expression and its time zone.
    pub timetable: String,
    /// When it runs next; `None` while it is paused.
    #[serde(with = "wire::option")]
    pub next_run: Option<DateTime<Utc>>,
    /// When its last job was enqueued, by a tick or by an operator.
    #[serde(with = "wire::option")]
    pub last_run: Option<DateTime<Utc>>,
    /// That job.
    pub last_job_id: Option<Uuid>,
    /// The state of that job, unless it has been pruned.
    pub last_state: Option<JobState>,
    /// Since when the schedule is paused.
    #[serde(with = "wire::option")]
    pub paused_at: Option<DateTime<Utc>>,
    /// The administrator who paused it; `None` if it was paused on the command line.
    pub paused_by: Option<i64>,
}

#[derive(FromQueryResult)]
struct Stored {
    name: String,
    last_run_at: Option<DateTime<Utc>>,
    last_job_id: Option<Uuid>,
    last_state: Option<JobState>,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<i64>,
}

/// The rows of these schedules.
pub async fn list_schedules(app: &App, schedules: &[Schedule]) -> Result<Vec<ScheduleRow>> {
    let db = app.db.read();
    let text = "SELECT s.name, s.last_run_at, s.last_job_id, j.state AS last_state, s.paused_at, s.paused_by
        FROM schedules s LEFT JOIN jobs j ON j.id = s.last_job_id";
    let stored = Stored::find_by_statement(sql(db, text, [])).all(db).await?;
    let row = |schedule: &Schedule| {
        let stored = stored.iter().find(|stored| stored.name == schedule.name);
        let paused_at = stored.and_then(|stored| stored.paused_at);
        ScheduleRow {
            name: schedule.name,
            timetable: schedule.timetable.to_string(),
            next_run: schedule.timetable.after(app.clock.now()).next().filter(|_| paused_at.is_none()),
            last_run: stored.and_then(|stored| stored.last_run_at),
            last_job_id: stored.and_then(|stored| stored.last_job_id),
            last_state: stored.and_then(|stored| stored.last_state),
            paused_at,
            paused_by: stored.and_then(|stored| stored.paused_by),
        }
    };
    Ok(schedules.iter().map(row).collect())
}

/// Enqueues the job of a schedule as if a tick were due now. If one is queued or running already, returns that one.
pub async fn run_now(
    app: &App,
    by: &Actor,
    schedule: &Schedule,
    idempotency: Idempotency<Uuid>,
) -> Result<Uuid> {
    let now = app.clock.now();
    let mut job = (schedule.job)(now)?.unique("by hand");
    if let Some(user_id) = by.user_id {
        job = job.owner(user_id);
    }
    let mut change = Change::begin(app).await?;
    schedule::lock_row(change.tx(), now, schedule).await?;
    let id = match schedule::find_live_job(change.tx(), &job).await? {
        Some(id) => id,
        None => {
            let id = change.enqueue(&job).await?;
            let text = "UPDATE schedules SET last_job_id = $2, last_run_at = $3 WHERE name = $1";
            let values = [schedule.name.into(), id.into(), at(now)];
            change.tx().execute_raw(sql(change.tx(), text, values)).await?;
            record(&change, now, by, Action::ScheduleRun, schedule).await?;
            id
        }
    };
    change.commit_with_answer(&idempotency, id).await?;
    tracing::info!(by.id = by.user_id, schedule = schedule.name, job.id = %id, "schedule run by hand");
    Ok(id)
}

/// Pauses a schedule: its ticks pass without a job.
pub async fn pause_schedule(app: &App, by: &Actor, schedule: &Schedule) -> Result<()> {
    let (change, now) = (Change::begin(app).await?, app.clock.now());
    schedule::ensure_row(change.tx(), now, schedule).await?;
    let text = "UPDATE schedules SET paused_at = $2, paused_by = $3 WHERE name = $1 AND paused_at IS NULL";
    let values = [schedule.name.into(), at(now), by.user_id.into()];
    let paused = change.tx().execute_raw(sql(change.tx(), text, values)).await?;
    if paused.rows_affected() > 0 {
        record(&change, now, by, Action::SchedulePaused, schedule).await?;
    }
    change.commit().await?;
    tracing::info!(by.id = by.user_id, schedule = schedule.name, "schedule paused");
    Ok(())
}

/// Resumes a schedule from its next tick on. The ticks in between are not caught up.
pub async fn resume_schedule(app: &App, by: &Actor, schedule: &Schedule) -> Result<()> {
    let (change, now) = (Change::begin(app).await?, app.clock.now());
    let text = "UPDATE schedules SET paused_at = NULL, paused_by = NULL,
            settled_until = CASE WHEN settled_until < $2 THEN $2 ELSE settled_until END
        WHERE name = $1 AND paused_at IS NOT NULL";
    let values = [schedule.name.into(), at(now)];
    let resumed = change.tx().execute_raw(sql(change.tx(), text, values)).await?;
    if resumed.rows_affected() > 0 {
        record(&change, now, by, Action::ScheduleResumed, schedule).await?;
    }
    change.commit().await?;
    tracing::info!(by.id = by.user_id, schedule = schedule.name, "schedule resumed");
    Ok(())
}

async fn record(
    change: &Change,
    now: DateTime<Utc>,
    by: &Actor,
    action: Action,
    schedule: &Schedule,
) -> Result<()> {
    let details = json!({ "schedule": schedule.name });
    audit::record(change.tx(), now, by, action, Object::Jobs, &details).await
}
