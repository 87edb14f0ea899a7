//! A million waiting jobs: what they cost the relay and Redis, and whether jobs on another queue still start soon.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bench::report::{Goal, Report, percentile, sorted};
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    jobs::{NewJob, Queue, ledger, queue, transport::Relay},
    platform::db::{Engine, at, sql},
};
use tokio::sync::watch;

use crate::kinds::Noop;

/// A small backlog to compare with.
const FEW: i64 = 10_000;
const SWEEPS: usize = 20;
const STARTS: usize = 200;

/// Rows per statement. SQLite has one writer at a time, and one that is busy for seconds is taken for a dead database.
const CHUNK: i64 = 10_000;

/// A job that has not started by then never will.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Fills the exports queue, and measures while a worker empties it.
pub async fn measure(name: &str, app: &App, rows: i64, report: &mut Report) -> Result<()> {
    let label = |what: &str| format!("{name}: {what}");
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    fill(app, FEW.min(rows)).await?;
    let few = sweeps(app).await?;
    fill(app, rows - FEW).await?;
    let (sender, most) = watch::channel(0.0);
    let watching = tokio::spawn(watch_memory(app.clone(), sender));
    let many = sweeps(app).await?;
    report.add(label(&format!("a sweep with {FEW} waiting jobs, p50")), few, "ms", "");
    report.add(label(&format!("a sweep with {rows} waiting jobs, p50")), many, "ms", "");
    report.check(label("ratio of the two"), many / few, "x", Goal::AtMost(2.0));

    let waits = starts_elsewhere(app).await?;
    for (what, share, goal) in [("p50", 0.5, 5.0), ("p99", 0.99, 50.0)] {
        let wait = percentile(&waits, share);
        report.check(label(&format!("start on another queue, {what}")), wait, "ms", Goal::AtMost(goal));
    }

    let (before, started) = (waiting(app).await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = (before - waiting(app).await?) as f64 / started.elapsed().as_secs_f64();
    report.check(label("progress of the full queue"), rate, "jobs/s", Goal::AtLeast(100.0));
    ensure!(!watching.is_finished(), "the memory of Redis could not be read");
    watching.abort();
    let memory = *most.borrow();
    report.check(label("Redis, most memory"), memory, "MB", Goal::AtMost(5.0));
    Ok(())
}

/// Inserts this many no-op jobs into the exports queue without announcing them.
async fn fill(app: &App, rows: i64) -> Result<()> {
    let mut left = rows;
    while left > 0 {
        insert(app, left.min(CHUNK)).await?;
        left -= CHUNK;
    }
    if app.db.engine() == Engine::Postgres {
        // As autovacuum would within a minute.
        app.db.write().execute_unprepared("ANALYZE jobs").await?;
    }
    Ok(())
}

async fn insert(app: &App, rows: i64) -> Result<()> {
    let (numbers, id) = match app.db.engine() {
        Engine::Postgres => (format!("generate_series(1, {rows})"), "gen_random_uuid()"),
        Engine::Sqlite => (
            format!(
                "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) SELECT n FROM c)"
            ),
            "randomblob(16)",
        ),
    };
    let text = format!(
        "INSERT INTO jobs (id, kind, queue, payload, state, max_attempts, run_at, created_at)
         SELECT {id}, 'noop', 'exports', '{{\"requested_at\":0}}', 'queued', 10, $1, $1 FROM {numbers} AS numbers"
    );
    let db = app.db.write();
    let due = app.clock.now() - Duration::from_secs(60);
    db.execute_raw(sql(db, &text, [at(due)])).await?;
    Ok(())
}

/// The median duration of a sweep of that queue, in milliseconds.
async fn sweeps(app: &App) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..SWEEPS {
        // A new relay has pushed nothing yet, so this is the largest sweep there is.
        let (mut relay, started) = (Relay::new(app.clone(), Queue::Exports), Instant::now());
        relay.sweep().await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(percentile(&sorted(times), 0.5))
}

/// How long jobs on the mail queue wait to start, in milliseconds, sorted.
async fn starts_elsewhere(app: &App) -> Result<Vec<f64>> {
    let mut waits = Vec::new();
    for _ in 0..STARTS {
        let job = ledger::insert(app.db.write(), app.clock.now(), &NewJob::of(&Noop::now())?).await?;
        queue::announce(&app.redis, &[job]).await;
        let started = Instant::now();
        let wait: i64 = loop {
            ensure!(started.elapsed() < START_TIMEOUT, "a job on another queue does not start");
            let row = ledger::find(&app.db, job.id).await?.context("the job is gone")?;
            if let Some(result) = row.result {
                break result.parse()?;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        waits.push(wait as f64 / 1000.0);
    }
    Ok(sorted(waits))
}

async fn waiting(app: &App) -> Result<i64> {
    let db = app.db.read();
    let row = db.query_one_raw(sql(db, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued'", [])).await?;
    Ok(row.context("no row")?.try_get("", "n")?)
}

/// Keeps the most memory that Redis has used, in megabytes, until it is aborted.
async fn watch_memory(app: App, most: watch::Sender<f64>) -> Result<()> {
    loop {
        let info: String =
            redis::cmd("INFO").arg("memory").query_async(&mut app.redis.queue.connection()?).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
        let used = used.trim().parse::<f64>()? / 1e6;
        most.send_modify(|most| *most = most.max(used));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
