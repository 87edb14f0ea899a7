//! How long a job waits before it runs, and how many a second are done, beside bare Redis commands.

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use redis::AsyncCommands;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    app::App,
    jobs::{Context, Done, Enqueued, Job, NewJob, Queue, ledger, queue},
    platform::{
        config::{Config, Sources},
        db::{Engine, sql},
        redis::Redis,
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Worker, registry::Registry};

use crate::{
    backlog,
    events::{Holds, Steps},
    report::{Goal, Report, percentile, sorted},
    stage::Stage,
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Jobs of each latency measurement.
    #[arg(long, default_value_t = 1_000)]
    starts: usize,
    /// Jobs of the throughput measurement.
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// Jobs that wait in the measurement of a backlog.
    #[arg(long, default_value_t = 1_000_000)]
    backlog: i64,
}

/// Who ask for jobs at the same time when throughput is measured.
const CALLERS: usize = 8;

/// Does nothing but tell how long it waited for its start.
#[derive(Serialize, Deserialize)]
pub struct Noop {
    /// When it was asked for, in microseconds since 1970.
    asked: i64,
}

impl Noop {
    /// Asked for now.
    pub fn now() -> Self {
        Self { asked: micros() }
    }
}

impl Job for Noop {
    const NAME: &'static str = "noop";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, _: &Context) -> shared::Result<Done> {
        Ok(Done::with(json!(micros() - self.asked)))
    }
}

/// Both processes run on one machine, so its clock will do.
pub fn micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The worker process: a real worker that also knows the jobs of the benchmarks.
pub async fn worker() -> Result<()> {
    let config = Config::load(Sources::read(None))?;
    let _spans = shared::platform::telemetry::init(&config, "parkade-worker")?;
    let app = App::start(config).await?;
    Worker::new(app, Registry::default().with::<Noop>().with::<Steps>().with::<Holds>())
        .run(CancellationToken::new())
        .await;
    Ok(())
}

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set(engine).await?;
    let app = &stage.app;
    let name = stage.name();
    if engine == Engine::Postgres {
        pushes(report).await?;
    }
    let _worker = stage.spawn(&env::current_exe()?, &["worker"], &[])?;
    starts(app, 50, true).await?;

    for (label, transactional, p99) in
        [("announce to start, committed before", false, 5.0), ("transaction to start", true, 15.0)]
    {
        let waits = starts(app, options.starts, transactional).await?;
        let p50 = format!("{name}: {label}, p50");
        if transactional {
            report.add(p50, percentile(&waits, 0.5), "ms", format!("{} jobs, one by one", waits.len()));
        } else {
            report.check(p50, percentile(&waits, 0.5), "ms", Goal::AtMost(1.0));
        }
        report.check(format!("{name}: {label}, p99"), percentile(&waits, 0.99), "ms", Goal::AtMost(p99));
    }
    let rate = throughput(app, options.jobs).await?;
    let goal = if engine == Engine::Postgres { 2000.0 } else { 500.0 };
    report.check(format!("{name}: no-op jobs, asked for to done"), rate, "jobs/s", Goal::AtLeast(goal));
    backlog::measure(name, app, options.backlog, report).await
}

/// Commits one job.
pub async fn enqueue(app: &App, job: &Noop) -> Result<Enqueued> {
    let tx = app.db.begin().await?;
    let enqueued = ledger::insert(&tx, app.clock.now(), &NewJob::of(job)?).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// How long each job waited, in milliseconds, sorted. With `transactional` the clock starts before the
/// transaction that asks for the job, else when it is announced.
async fn starts(app: &App, jobs: usize, transactional: bool) -> Result<Vec<f64>> {
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    let mut announced = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        let asked = micros();
        let enqueued = enqueue(app, &Noop::now()).await?;
        announced.push((enqueued.id, if transactional { 0 } else { micros() - asked }));
        queue::announce(&app.redis, &[enqueued]).await;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    finished(app, jobs).await?;
    let mut waits = Vec::with_capacity(jobs);
    for (id, before) in announced {
        let row = ledger::find(&app.db, id).await?.context("the job")?;
        let wait: i64 = row.result.context("its result")?.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        waits.push((wait - before) as f64 / 1000.0);
    }
    Ok(sorted(waits))
}

/// Jobs a second from the first request to the last end: some callers commit and announce one job after the other.
async fn throughput(app: &App, jobs: usize) -> Result<f64> {
    app.db.write().execute_unprepared("DELETE FROM jobs").await?;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let app = app.clone();
        let jobs = jobs / CALLERS;
        callers.spawn(async move {
            for _ in 0..jobs {
                let enqueued = enqueue(&app, &Noop::now()).await?;
                queue::announce_soon(&app, vec![enqueued]);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    finished(app, jobs / CALLERS * CALLERS).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(jobs as f64 / begun.elapsed().as_secs_f64())
}

/// Waits until no job is left to do; all must have succeeded. Cheap, so that it takes nothing from what it measures.
async fn finished(app: &App, jobs: usize) -> Result<()> {
    const LEFT: &str = "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM jobs WHERE state = 'queued')
        OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running')";
    const SUCCEEDED: &str = "SELECT COUNT(*) AS count FROM jobs WHERE state = 'succeeded'";
    let db = app.db.read();
    for _ in 0..6_000 {
        if db.query_one_raw(sql(db, LEFT, [])).await?.is_none() {
            let row = db.query_one_raw(sql(db, SUCCEEDED, [])).await?.context("a row")?;
            ensure!(row.try_get::<i64>("", "count")? == i64::try_from(jobs)?, "not every job has succeeded");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the jobs did not end within two minutes")
}

/// Calls in each measurement of Redis.
const CALLS: u32 = 20_000;

/// What a push costs beside what Redis itself can do here, on a Redis of its own that is thrown away.
async fn pushes(report: &mut Report) -> Result<()> {
    let server = devstack::Redis::start().await?;
    let settings = [("REDIS_PORT".to_owned(), server.port().to_string())];
    let redis = Redis::new(&Config::load(Sources::of(settings))?).await?;
    let bare = calls(&redis, async |redis| {
        let script = redis::Script::new("return 1");
        Ok(script.key("bench").invoke_async::<()>(&mut redis.queue.connection()?).await?)
    })
    .await?;
    report.add("bare EVAL, 16 callers", bare, "calls/s", "");
    let pushed =
        calls(&redis, async |redis| Ok(queue::push(redis, Queue::Mail, &[Uuid::new_v4()]).await?)).await?;
    report.add("push of one message, which also wakes a worker, 16 callers", pushed, "calls/s", "");
    let chunks = calls(&redis, async |redis| {
        let ids: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
        Ok(queue::push(redis, Queue::Exports, &ids).await?)
    })
    .await?;
    report.add("push of ten messages at once, 16 callers", chunks * 10.0, "messages/s", "");
    report.check(
        "push of one message: share of a bare EVAL",
        100.0 * pushed / bare,
        "%",
        Goal::AtLeast(80.0),
    );
    list(&redis, report).await
}

/// Calls a second by 16 callers.
async fn calls(redis: &Redis, call: impl AsyncFn(&Redis) -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    let caller = async || {
        for _ in 0..CALLS / 16 {
            call(redis).await?;
        }
        anyhow::Ok(())
    };
    futures::future::try_join_all((0..16).map(|_| caller())).await?;
    Ok(f64::from(CALLS) / begun.elapsed().as_secs_f64())
}

/// A list as a queue.
async fn list(redis: &Redis, report: &mut Report) -> Result<()> {
    let mut consumer = redis.consumer_connection().await?;
    let begun = Instant::now();
    let popping = tokio::spawn(async move {
        for _ in 0..CALLS {
            consumer.brpop::<_, (String, String)>("bench:list", 5.0).await?;
        }
        anyhow::Ok(())
    });
    let mut redis = redis.queue.connection()?;
    for _ in 0..CALLS {
        redis.lpush::<_, _, ()>("bench:list", 1).await?;
    }
    popping.await??;
    let rate = f64::from(CALLS) / begun.elapsed().as_secs_f64();
    report.add("LPUSH to BRPOP, one of each", rate, "items/s", "");
    Ok(())
}
