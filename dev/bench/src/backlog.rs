//! A million jobs that wait: what they cost the sweep, Redis, and those who come later to another lane.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    jobs::{Queue, ledger, queue, transport::Relay},
    platform::db::{Engine, at, sql},
};
use tokio::sync::watch;

use crate::{
    jobs::{Noop, enqueue},
    report::{Goal, Report, percentile, sorted},
};

/// A backlog to compare with.
const FEW: i64 = 10_000;
const SWEEPS: usize = 20;
const STARTS: usize = 200;

/// Fills the lane of exports, and takes all figures while a worker empties it.
pub async fn measure(name: &str, app: &App, rows: i64, report: &mut Report) -> Result<()> {
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    fill(app, FEW).await?;
    let few = sweeps(app).await?;
    fill(app, rows - FEW).await?;
    let (sender, most) = watch::channel(0.0);
    let watching = tokio::spawn(watch_memory(app.clone(), sender));
    let many = sweeps(app).await?;
    report.add(format!("{name}: a sweep with {FEW} waiting, p50"), few, "ms", "");
    report.add(format!("{name}: a sweep with {rows} waiting, p50"), many, "ms", "");
    report.check(format!("{name}: how much longer that is"), many / few, "times", Goal::AtMost(2.0));

    let waits = starts_elsewhere(app).await?;
    report.check(
        format!("{name}: a mail beside them starts, p50"),
        percentile(&waits, 0.5),
        "ms",
        Goal::AtMost(5.0),
    );
    report.check(
        format!("{name}: a mail beside them starts, p99"),
        percentile(&waits, 0.99),
        "ms",
        Goal::AtMost(50.0),
    );

    let (before, begun) = (waiting(app).await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = (before - waiting(app).await?) as f64 / begun.elapsed().as_secs_f64();
    report.check(format!("{name}: their own lane goes on"), rate, "jobs/s", Goal::AtLeast(100.0));
    ensure!(!watching.is_finished(), "the memory of Redis is not known");
    watching.abort();
    let memory = *most.borrow();
    report.check(format!("{name}: Redis, most memory"), memory, "MB", Goal::AtMost(5.0));
    Ok(())
}

/// Writes so many jobs that do nothing into the lane of exports, and tells nobody.
async fn fill(app: &App, rows: i64) -> Result<()> {
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
         SELECT {id}, 'noop', 'exports', '{{\"asked\":0}}', 'queued', 10, $1, $1 FROM {numbers} AS numbers"
    );
    let db = app.db.write();
    let long_ago = app.clock.now() - Duration::from_secs(60);
    db.execute_raw(sql(db, &text, [at(long_ago)])).await?;
    if app.db.engine() == Engine::Postgres {
        // As autovacuum would within the minute.
        db.execute_unprepared("ANALYZE jobs").await?;
    }
    Ok(())
}

/// What a sweep of that lane takes, in milliseconds.
async fn sweeps(app: &App) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..SWEEPS {
        // Each by a relay that has pushed nothing yet, so that it looks at as much as it ever does.
        let (mut relay, begun) = (Relay::new(app.clone(), Queue::Exports), Instant::now());
        relay.sweep().await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(percentile(&sorted(times), 0.5))
}

/// How long jobs of the lane of mails wait for their start, in milliseconds, sorted.
async fn starts_elsewhere(app: &App) -> Result<Vec<f64>> {
    let mut waits = Vec::new();
    for _ in 0..STARTS {
        let job = enqueue(app, &Noop::now()).await?;
        queue::announce(&app.redis, &[job]).await;
        let begun = Instant::now();
        let wait: i64 = loop {
            ensure!(begun.elapsed() < Duration::from_secs(30), "a job beside a backlog does not start");
            let row = ledger::find(&app.db, job.id).await?.context("the job")?;
            if let Some(result) = row.result {
                break result.parse()?;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        waits.push(wait as f64 / 1000.0);
    }
    Ok(sorted(waits))
}

async fn waiting(app: &App) -> Result<i64> {
    let db = app.db.read();
    let row = db.query_one_raw(sql(db, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued'", [])).await?;
    Ok(row.context("a row")?.try_get("", "n")?)
}

/// Looks at the memory of Redis again and again, and keeps the most in megabytes.
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
