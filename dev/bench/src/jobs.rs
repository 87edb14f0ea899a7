//! How long a job waits before it starts, and how many jobs are done per second, compared with plain Redis commands.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bench::{
    report::{Goal, Report, percentile, sorted},
    testbed::Testbed,
};
use redis::AsyncCommands;
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    jobs::{Enqueued, NewJob, Queue, ledger, queue},
    platform::{
        config::{Config, Sources},
        db::{Engine, sql},
        redis::Redis,
    },
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    backlog,
    kinds::{Noop, micros},
};

#[derive(clap::Args)]
pub struct Options {
    /// Jobs per latency measurement.
    #[arg(long, default_value_t = 1_000)]
    starts: usize,
    /// Jobs of the throughput measurement.
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// Waiting jobs in the measurement of a backlog.
    #[arg(long, default_value_t = 1_000_000)]
    backlog: i64,
}

/// Clients that enqueue at the same time in the throughput measurement.
const CLIENTS: usize = 8;

/// Without a finished job for this long, the worker is considered broken.
const STALLED_AFTER: Duration = Duration::from_secs(120);

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let app = &testbed.app;
    let name = testbed.name();
    if engine == Engine::Postgres {
        pushes(report).await?;
    }
    let _worker = testbed.spawn(&env::current_exe()?, &["worker"], &[])?;
    // Warms everything up.
    starts(app, 50, true).await?;

    let waits = starts(app, options.starts, false).await?;
    let (p50, p99) = (percentile(&waits, 0.5), percentile(&waits, 0.99));
    report.check(format!("{name}: announcement to start, p50"), p50, "ms", Goal::AtMost(1.0));
    report.check(format!("{name}: announcement to start, p99"), p99, "ms", Goal::AtMost(5.0));
    let waits = starts(app, options.starts, true).await?;
    let note = format!("{} jobs, one by one", waits.len());
    report.add(format!("{name}: transaction to start, p50"), percentile(&waits, 0.5), "ms", note);
    let p99 = percentile(&waits, 0.99);
    report.check(format!("{name}: transaction to start, p99"), p99, "ms", Goal::AtMost(15.0));

    let rate = throughput(app, options.jobs).await?;
    let goal = if engine == Engine::Postgres { 2000.0 } else { 500.0 };
    report.check(format!("{name}: no-op jobs, enqueued and done"), rate, "jobs/s", Goal::AtLeast(goal));
    backlog::measure(name, app, options.backlog, report).await
}

/// Commits one job.
async fn enqueue(app: &App) -> Result<Enqueued> {
    let tx = app.db.begin().await?;
    let enqueued = ledger::insert(&tx, app.clock.now(), &NewJob::of(&Noop::now())?).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// How long each job waited, in milliseconds, sorted; measured from before the transaction that enqueues it, or only
/// from its announcement.
async fn starts(app: &App, jobs: usize, with_transaction: bool) -> Result<Vec<f64>> {
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    let mut announced = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        let started = micros();
        let enqueued = enqueue(app).await?;
        announced.push((enqueued.id, if with_transaction { 0 } else { micros() - started }));
        queue::announce(&app.redis, &[enqueued]).await;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    all_succeeded(app, jobs).await?;
    let mut waits = Vec::with_capacity(jobs);
    for (id, before) in announced {
        let row = ledger::find(&app.db, id).await?.context("the job is gone")?;
        let wait: i64 = row.result.context("the job has no result")?.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        waits.push((wait - before) as f64 / 1000.0);
    }
    Ok(sorted(waits))
}

/// Jobs per second, from the first one enqueued to the last one done. Each client enqueues one after the other.
async fn throughput(app: &App, jobs: usize) -> Result<f64> {
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let app = app.clone();
        let jobs = jobs / CLIENTS;
        clients.spawn(async move {
            for _ in 0..jobs {
                let enqueued = enqueue(&app).await?;
                queue::announce_soon(&app, vec![enqueued]);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    all_succeeded(app, jobs / CLIENTS * CLIENTS).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(jobs as f64 / started.elapsed().as_secs_f64())
}

/// Waits until no job is left, however long that takes, and checks that all have succeeded. The query that is repeated
/// is cheap, so that it takes little from what is measured.
async fn all_succeeded(app: &App, jobs: usize) -> Result<()> {
    const LEFT: &str = "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM jobs WHERE state = 'queued')
        OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running')";
    const SUCCEEDED: &str = "SELECT COUNT(*) AS n FROM jobs WHERE state = 'succeeded'";
    let db = app.db.read();
    let succeeded = async || {
        let row = db.query_one_raw(sql(db, SUCCEEDED, [])).await?.context("no row")?;
        anyhow::Ok(row.try_get::<i64>("", "n")?)
    };
    let (mut before, mut since) = (0, Instant::now());
    while db.query_one_raw(sql(db, LEFT, [])).await?.is_some() {
        if since.elapsed() > STALLED_AFTER {
            let now = succeeded().await?;
            ensure!(now > before, "no job was done within {STALLED_AFTER:?}; {now} of {jobs} have succeeded");
            (before, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let succeeded = succeeded().await?;
    ensure!(succeeded == i64::try_from(jobs)?, "{succeeded} of {jobs} jobs have succeeded");
    Ok(())
}

/// Calls per measurement of Redis, and how many callers make them.
const CALLS: u32 = 20_000;
const CALLERS: u32 = 16;

/// What pushing a message costs, compared with what Redis can do on this machine; on a Redis of its own.
async fn pushes(report: &mut Report) -> Result<()> {
    let server = devstack::Redis::start().await?;
    let settings = [("REDIS_PORT".to_owned(), server.port().to_string())];
    let redis = Redis::new(&Config::load(Sources::of(settings))?).await?;
    let eval = calls(&redis, async |redis| {
        let script = redis::Script::new("return 1");
        Ok(script.key("bench").invoke_async::<()>(&mut redis.queue.connection()?).await?)
    })
    .await?;
    report.add(format!("limit: EVAL, {CALLERS} callers"), eval, "calls/s", "");
    let push =
        calls(&redis, async |redis| Ok(queue::push(redis, Queue::Mail, &[Uuid::new_v4()]).await?)).await?;
    report.add(format!("push of a message, {CALLERS} callers"), push, "calls/s", "also wakes a worker");
    let chunks = calls(&redis, async |redis| {
        let ids: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
        Ok(queue::push(redis, Queue::Exports, &ids).await?)
    })
    .await?;
    report.add(format!("push of ten messages, {CALLERS} callers"), chunks * 10.0, "messages/s", "");
    report.check("push of a message: share of EVAL", 100.0 * push / eval, "%", Goal::AtLeast(80.0));
    list(&redis, report).await
}

/// Calls per second.
async fn calls(redis: &Redis, call: impl AsyncFn(&Redis) -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let caller = async || {
        for _ in 0..CALLS / CALLERS {
            call(redis).await?;
        }
        anyhow::Ok(())
    };
    futures::future::try_join_all((0..CALLERS).map(|_| caller())).await?;
    Ok(f64::from(CALLS) / started.elapsed().as_secs_f64())
}

/// A plain Redis list as a queue.
async fn list(redis: &Redis, report: &mut Report) -> Result<()> {
    let mut consumer = redis.consumer_connection().await?;
    let started = Instant::now();
    let popping = tokio::spawn(async move {
        for _ in 0..CALLS {
            consumer.brpop::<_, (String, String)>("bench:list", 60.0).await?;
        }
        anyhow::Ok(())
    });
    let mut redis = redis.queue.connection()?;
    for _ in 0..CALLS {
        redis.lpush::<_, _, ()>("bench:list", 1).await?;
    }
    popping.await??;
    let rate = f64::from(CALLS) / started.elapsed().as_secs_f64();
    report.add("limit: LPUSH and BRPOP, one client each", rate, "items/s", "");
    Ok(())
}
