//! What operators do: run a schedule now, pause and resume, requeue and purge dead jobs, cancel. Each act is logged.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::{
    Queue,
    ledger::{self, Enqueued},
    queue,
    schedule::{self, Schedule},
    status,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    platform::{
        db::{at, sql, violates},
        idempotency::Idempotency,
    },
};

/// Who acts: an administrator, or whoever has the command line.
pub type By = Option<i64>;

/// Dead jobs that one transaction changes: SQLite's other writers wait for it.
const BATCH: i64 = 500;

/// How often a batch is tried again because somebody has just enqueued a job with the key of one of them.
const TRIES: usize = 5;

/// Enqueues the job of a schedule as if a tick were due now. One that waits or runs already, whoever made it, is the one.
///
/// # Errors
/// Those of the database.
pub async fn run_now(app: &App, by: By, schedule: &Schedule, keep: Idempotency<Uuid>) -> Result<Uuid> {
    let now = app.clock.now();
    let mut job = (schedule.job)(now)?.unique("by hand");
    if let Some(user_id) = by {
        job = job.owner(user_id);
    }
    let tx = app.db.begin().await?;
    schedule::lock(&tx, now, schedule).await?;
    let (id, fresh) = match schedule::living(&tx, &job).await? {
        Some(id) => (id, None),
        None => {
            let fresh = ledger::insert(&tx, now, &job).await?;
            let text = "UPDATE schedules SET last_job_id = $2, last_run_at = $3 WHERE name = $1";
            tx.execute_raw(sql(&tx, text, [schedule.name.into(), fresh.id.into(), at(now)])).await?;
            (fresh.id, Some(fresh))
        }
    };
    keep.store(&tx, &id).await?;
    tx.commit().await?;
    tracing::info!(by.id = by, schedule = schedule.name, job.id = %id, "schedule run by hand");
    queue::announce_soon(app, fresh.into_iter().collect());
    Ok(id)
}

/// Lets the ticks of a schedule pass.
///
/// # Errors
/// Those of the database.
pub async fn pause_schedule(app: &App, by: By, schedule: &Schedule) -> Result<()> {
    let (db, now) = (app.db.write(), app.clock.now());
    schedule::ensure(db, now, schedule).await?;
    let text = "UPDATE schedules SET paused_at = $2, paused_by = $3 WHERE name = $1 AND paused_at IS NULL";
    db.execute_raw(sql(db, text, [schedule.name.into(), at(now), by.into()])).await?;
    tracing::info!(by.id = by, schedule = schedule.name, "schedule paused");
    Ok(())
}

/// Lets a schedule run again from its next tick on. Those that passed meanwhile are not made up for.
///
/// # Errors
/// Those of the database.
pub async fn resume_schedule(app: &App, by: By, schedule: &Schedule) -> Result<()> {
    let db = app.db.write();
    let text = "UPDATE schedules SET paused_at = NULL, paused_by = NULL,
            settled_until = CASE WHEN settled_until < $2 THEN $2 ELSE settled_until END
        WHERE name = $1 AND paused_at IS NOT NULL";
    db.execute_raw(sql(db, text, [schedule.name.into(), at(app.clock.now())])).await?;
    tracing::info!(by.id = by, schedule = schedule.name, "schedule resumed");
    Ok(())
}

/// Lets no worker take jobs from a queue; those that run end as they would.
///
/// # Errors
/// Those of the database.
pub async fn pause_queue(app: &App, by: By, queue: Queue) -> Result<()> {
    let db = app.db.write();
    let text =
        "INSERT INTO paused_queues (queue, paused_by, paused_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    db.execute_raw(sql(db, text, [queue.name().into(), by.into(), at(app.clock.now())])).await?;
    tracing::info!(by.id = by, queue = queue.name(), "queue paused");
    Ok(())
}

/// Lets workers take jobs from a queue again; the relay brings them within a second or two.
///
/// # Errors
/// Those of the database.
pub async fn resume_queue(app: &App, by: By, queue: Queue) -> Result<()> {
    let db = app.db.write();
    db.execute_raw(sql(db, "DELETE FROM paused_queues WHERE queue = $1", [queue.name().into()])).await?;
    tracing::info!(by.id = by, queue = queue.name(), "queue resumed");
    Ok(())
}

/// Which dead jobs.
#[derive(Debug, Clone)]
pub enum Dead {
    /// This one.
    One(Uuid),
    /// All, or all of a kind.
    All(Option<String>),
}

/// Of dead jobs `d`, those that may live again: with a unique key, the newest that has it, if none of them lives.
const MAY_LIVE: &str = "(d.unique_key IS NULL OR (
    NOT EXISTS (SELECT 1 FROM jobs l WHERE l.kind = d.kind AND l.unique_key = d.unique_key AND l.state IN ('queued', 'running'))
    AND ($2 IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM jobs n WHERE n.kind = d.kind AND n.unique_key = d.unique_key AND n.state = 'failed' AND n.id > d.id))))";

/// Lets dead jobs begin anew, their tries counted from 1. How many there were: of several with the same unique key only
/// one, and none where such a job lives.
///
/// # Errors
/// For one: [`Error::NotFound`], [`Error::Conflict`] when it is not dead or another job with its key lives.
pub async fn requeue(app: &App, by: By, which: &Dead) -> Result<u64> {
    let text = format!(
        "UPDATE jobs SET state = 'queued', attempt = 0, crashes = 0, run_at = $1, cancel_requested = FALSE, progress_current = 0,
            progress_total = 0, result = NULL, error = NULL, started_at = NULL, finished_at = NULL
         WHERE state = 'failed' AND id IN ({}) RETURNING id, queue, state",
        chosen(&format!("AND {MAY_LIVE}"))
    );
    let jobs = change(app, which, &text).await?;
    tracing::info!(by.id = by, ?which, jobs, "dead jobs requeued");
    Ok(jobs)
}

/// Removes dead jobs for good, with what hangs on them. How many there were.
///
/// # Errors
/// For one: [`Error::NotFound`], [`Error::Conflict`] when it is not dead.
pub async fn purge(app: &App, by: By, which: &Dead) -> Result<u64> {
    let text = format!(
        "DELETE FROM jobs WHERE state = 'failed' AND id IN ({}) RETURNING id, queue, state",
        chosen("")
    );
    let jobs = change(app, which, &text).await?;
    tracing::info!(by.id = by, ?which, jobs, "dead jobs purged");
    Ok(jobs)
}

/// Ids of dead jobs, so many that a transaction is short. What dies after the beginning is not meant.
fn chosen(condition: &str) -> String {
    format!(
        "SELECT d.id FROM jobs d WHERE d.state = 'failed' AND d.finished_at <= $1 AND ($2 IS NULL OR d.id = $2)
            AND ($3 IS NULL OR d.kind = $3) {condition} ORDER BY d.id DESC LIMIT {BATCH}"
    )
}

/// Changes dead jobs batch by batch and tells whom it concerns.
async fn change(app: &App, which: &Dead, text: &str) -> Result<u64> {
    let (now, mut changed) = (app.clock.now(), 0);
    loop {
        let batch = change_some(app, which, text, now).await?;
        changed += batch.len() as u64;
        let is_last = batch.len() < BATCH as usize;
        tell(app, batch);
        if !is_last {
            continue;
        }
        return match which {
            Dead::One(id) if changed == 0 => Err(refusal(app, *id).await?),
            _ => Ok(changed),
        };
    }
}

async fn change_some(app: &App, which: &Dead, text: &str, now: DateTime<Utc>) -> Result<Vec<Enqueued>> {
    let (id, kind) = match which {
        Dead::One(id) => (Some(*id), None),
        Dead::All(kind) => (None, kind.clone()),
    };
    let db = app.db.write();
    let again = |error: &DbErr| violates(error, "jobs_one_live_a_key", "jobs.unique_key");
    let mut tries = 1;
    let rows = loop {
        match db.query_all_raw(sql(db, text, [at(now), id.into(), kind.clone().into()])).await {
            Err(error) if tries < TRIES && again(&error) => tries += 1,
            rows => break rows?,
        }
    };
    let job = |row: &QueryResult| {
        let queue = Queue::named(&row.try_get::<String>("", "queue")?).unwrap_or(Queue::Maintenance);
        let due = row.try_get::<String>("", "state")? == "queued";
        Ok(Enqueued { id: row.try_get("", "id")?, queue, due })
    };
    rows.iter().map(job).collect()
}

/// Announces what waits now, and lets owners hear what the ledger says.
fn tell(app: &App, jobs: Vec<Enqueued>) {
    let told = app.clone();
    app.tasks.spawn(async move {
        status::forget(&told.redis, jobs.iter().map(|job| job.id)).await;
        queue::announce(&told.redis, &jobs).await;
    });
}

/// Why nothing was done to a job.
async fn refusal(app: &App, id: Uuid) -> Result<Error> {
    Ok(match ledger::find(&app.db, id).await? {
        None => Error::NotFound("job"),
        Some(row) if row.state == "failed" => {
            Error::conflict("job_lives", "another job with the same unique key waits or runs")
        }
        Some(_) => Error::conflict("job_not_dead", "the job is not dead"),
    })
}

/// Asks for the end of a job.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`] when it has ended.
pub async fn cancel(app: &App, by: By, id: Uuid) -> Result<()> {
    if super::cancel(app, id).await? {
        tracing::info!(by.id = by, job.id = %id, "job cancelled");
        return Ok(());
    }
    Err(match ledger::find(&app.db, id).await? {
        None => Error::NotFound("job"),
        Some(_) => Error::conflict("job_ended", "the job has ended already"),
    })
}
