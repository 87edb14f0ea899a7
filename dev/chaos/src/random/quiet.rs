//! Measurements after the faults have ended: poison jobs, cancellations and a stopping worker.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sea_orm::ConnectionTrait;
use shared::{
    jobs::{self, JobState, NewJob, ledger},
    platform::db::{at, sql},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    cluster::Cluster,
    journal::{self, Event, micros},
    worker::{Poison, Upkeep, Work},
};

/// Longer than any run.
const ENDLESS_MILLIS: u64 = 60_000;
const CANCELS: usize = 40;
const ENDLESS_JOBS: usize = 24;

#[derive(Debug, Default)]
pub struct Quiet {
    /// Seconds until all jobs were done after the last fault.
    pub settled: f64,
    /// Seconds that jobs on the queue of a poison job waited to begin.
    pub beside_poison: Vec<f64>,
    /// Seconds from the cancellation of a running job to its end.
    pub cancels: Vec<f64>,
    /// Jobs that began although they had been cancelled while they waited.
    pub begun_after_cancel: Vec<String>,
    /// Jobs for which a shutdown was counted as an attempt.
    pub charged: Vec<String>,
}

/// Waits until no job is left, or for this long; returns the seconds it took. Retries are made due at once, as an operator
/// would do after an outage.
pub async fn settle(cluster: &Cluster, limit: Duration) -> Result<f64> {
    let (db, started) = (cluster.app.db.write(), Instant::now());
    while started.elapsed() < limit {
        let now = at(cluster.app.clock.now());
        let retry_now = "UPDATE jobs SET run_at = $1 WHERE state = 'queued' AND run_at > $1";
        let _ = db.execute_raw(sql(db, retry_now, [now])).await;
        let left = "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'running')";
        let row = db.query_one_raw(sql(db, left, [])).await?.context("no row")?;
        if row.try_get::<i64>("", "n")? == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Enqueues a poison job and ten others on its queue. Returns how long those waited, in seconds.
pub async fn beside_poison(cluster: &Cluster) -> Result<Vec<f64>> {
    let poison = cluster.enqueue(&Poison {}).await?;
    cluster.notes().poison.push(poison);
    let mut enqueued = HashMap::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        enqueued.insert(cluster.enqueue(&Upkeep {}).await?, micros());
        cluster.enqueue(&Work { millis: 2_500 }).await?;
    }
    for id in enqueued.keys().chain([&poison]) {
        cluster.wait_for_end(*id, Duration::from_secs(40)).await?;
    }
    let lines = journal::read(&cluster.journal)?;
    let begins = lines.iter().filter(|line| line.event == Event::Begin);
    let waits = begins.filter_map(|line| Some(line.at.saturating_sub(*enqueued.get(&line.id)?)));
    #[expect(clippy::cast_precision_loss, reason = "a duration")]
    Ok(waits.map(|micros| micros as f64 / 1e6).collect())
}

/// Stops a worker that runs endless jobs, and cancels other jobs meanwhile.
pub async fn measure(cluster: &Arc<Cluster>, quiet: &mut Quiet) -> Result<()> {
    let mut endless = Vec::new();
    for _ in 0..ENDLESS_JOBS {
        endless.push(cluster.enqueue(&Work { millis: ENDLESS_MILLIS }).await?);
    }
    cluster.notes().endless.extend(&endless);
    let (pid, held) = busiest_worker(cluster, &endless).await?;
    let worker = cluster.take_worker(Some(pid)).context("the busiest worker is gone")?;
    cluster.start_worker()?;
    let stopping = tokio::spawn(cluster.clone().stop(worker));
    // If the stopping worker still took one of these, the journal would show it.
    for _ in 0..100 {
        cluster.enqueue(&Work { millis: 0 }).await?;
    }
    quiet.cancels = cancel_running(cluster).await?;
    quiet.begun_after_cancel = cancel_waiting(cluster).await?;
    stopping.await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for id in held {
        let row = ledger::find(&cluster.app.db, id).await?.context("the job is gone")?;
        if row.attempt > 1 || row.crashes > 0 {
            quiet.charged.push(format!("{id} is at attempt {}, crashes {}", row.attempt, row.crashes));
        }
    }
    for id in endless {
        jobs::cancel(&cluster.app, id).await?;
    }
    Ok(())
}

/// Waits until all of these jobs run. Returns the worker with the most of them, and which.
async fn busiest_worker(cluster: &Cluster, jobs: &[Uuid]) -> Result<(u32, Vec<Uuid>)> {
    let started = Instant::now();
    loop {
        let lines = journal::read(&cluster.journal)?;
        let mut held: HashMap<u32, Vec<Uuid>> = HashMap::new();
        for line in lines.iter().filter(|line| jobs.contains(&line.id)) {
            held.entry(line.pid).or_default().push(line.id);
        }
        if held.values().map(Vec::len).sum::<usize>() >= jobs.len() {
            return held.into_iter().max_by_key(|(_, jobs)| jobs.len()).context("no worker runs a job");
        }
        ensure!(started.elapsed() < Duration::from_secs(30), "some endless jobs have not begun: {held:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How long running jobs go on after their cancellation, in seconds.
async fn cancel_running(cluster: &Arc<Cluster>) -> Result<Vec<f64>> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let cluster = cluster.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..CANCELS / 4 {
                let id = cluster.enqueue(&Work { millis: ENDLESS_MILLIS }).await?;
                let has_started = async || {
                    let row = ledger::find(&cluster.app.db, id).await?.context("the job is gone")?;
                    anyhow::Ok(row.started_at.is_some())
                };
                while !has_started().await? {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                let cancelled = Instant::now();
                jobs::cancel(&cluster.app, id).await?;
                cluster.wait_for_end(id, Duration::from_secs(20)).await?;
                times.push(cancelled.elapsed().as_secs_f64());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

/// Cancels jobs before they are announced. Returns those that began although they were cancelled while they waited.
async fn cancel_waiting(cluster: &Cluster) -> Result<Vec<String>> {
    let app = &cluster.app;
    let mut cancelled = Vec::new();
    for _ in 0..100 {
        let job = NewJob::of(&Work { millis: 0 })?;
        let enqueued = ledger::insert(app.db.write(), app.clock.now(), &job).await?;
        ledger::cancel(app.db.write(), app.clock.now(), enqueued.id).await?;
        let row = ledger::find(&app.db, enqueued.id).await?.context("the job is gone")?;
        jobs::queue::announce(&app.redis, &[enqueued]).await;
        if row.state == JobState::Cancelled {
            cancelled.push(job.id);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lines = journal::read(&cluster.journal)?;
    let begun = lines.iter().filter(|line| cancelled.contains(&line.id));
    Ok(begun.map(|line| line.id.to_string()).collect())
}
