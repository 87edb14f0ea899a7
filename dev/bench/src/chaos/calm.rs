//! After the storm: what is measured best while nothing else goes wrong, but for poison and a stop.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sea_orm::ConnectionTrait;
use shared::{
    jobs::{self, NewJob, ledger},
    platform::db::{at, sql},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    kinds::{self, Event, Poison, Upkeep, Work, micros},
    site::Site,
};

const FOREVER: u64 = 60_000;
const CANCELS: usize = 40;
const LINGERING: usize = 24;

/// What was measured.
#[derive(Debug, Default)]
pub struct Calm {
    /// Seconds that jobs beside poison waited for their begin.
    pub beside_poison: Vec<f64>,
    /// Seconds from a cancellation to the end of a running job.
    pub cancels: Vec<f64>,
    /// Jobs cancelled before they began, which began.
    pub risen: Vec<String>,
    /// Seconds until everything was done after the faults.
    pub settled: f64,
    /// Jobs whose shutdown was counted as an attempt.
    pub charged: Vec<String>,
}

/// Waits until nothing is left to do. An operator who has seen the fault end lets retries begin at once, and so do we.
pub async fn settle(site: &Site, limit: Duration) -> Result<f64> {
    let (db, begun) = (site.app.db.write(), Instant::now());
    while begun.elapsed() < limit {
        let now = at(site.app.clock.now());
        let hurry = "UPDATE jobs SET run_at = $1 WHERE state = 'queued' AND run_at > $1";
        let _ = db.execute_raw(sql(db, hurry, [now])).await;
        let left = "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'running')";
        let row = db.query_one_raw(sql(db, left, [])).await?.context("a row")?;
        if row.try_get::<i64>("", "n")? == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// A job that ends its workers, and ten others on its lane.
pub async fn beside_poison(site: &Site) -> Result<Vec<f64>> {
    let poison = site.ask(&Poison {}).await?;
    site.notes().poison.push(poison);
    let mut asked = HashMap::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        asked.insert(site.ask(&Upkeep {}).await?, micros());
        site.ask(&Work { millis: 2_500 }).await?;
    }
    for id in asked.keys().chain([&poison]) {
        site.is_over(*id, Duration::from_secs(40)).await?;
    }
    let lines = kinds::read(&site.journal)?;
    let begins = lines.iter().filter(|line| line.event == Event::Begin);
    let waits = begins.filter_map(|line| Some(line.at.saturating_sub(*asked.get(&line.id)?)));
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    Ok(waits.map(|micros| micros as f64 / 1e6).collect())
}

/// Stops a worker that has endless jobs, and cancels others meanwhile.
pub async fn measure(site: &Arc<Site>, calm: &mut Calm) -> Result<()> {
    let mut lingering = Vec::new();
    for _ in 0..LINGERING {
        lingering.push(site.ask(&Work { millis: FOREVER }).await?);
    }
    site.notes().lingering.extend(&lingering);
    let (pid, held) = busiest(site, &lingering).await?;
    let worker = site.take_worker(Some(pid)).context("the worker")?;
    site.start_worker()?;
    let stopping = tokio::spawn(site.clone().stop(worker));
    // Whatever it still fetches shows in the journal.
    for _ in 0..100 {
        site.ask(&Work { millis: 0 }).await?;
    }
    calm.cancels = cancels(site).await?;
    calm.risen = risen(site).await?;
    stopping.await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for id in held {
        let row = ledger::find(&site.app.db, id).await?.context("the job")?;
        if row.attempt > 1 || row.crashes > 0 {
            calm.charged.push(format!("{id} is at attempt {}, crashes {}", row.attempt, row.crashes));
        }
    }
    for id in lingering {
        jobs::cancel(&site.app, id).await?;
    }
    Ok(())
}

/// The worker that runs most of these, and which.
async fn busiest(site: &Site, jobs: &[Uuid]) -> Result<(u32, Vec<Uuid>)> {
    let begun = Instant::now();
    loop {
        let lines = kinds::read(&site.journal)?;
        let mut held: HashMap<u32, Vec<Uuid>> = HashMap::new();
        for line in lines.iter().filter(|line| jobs.contains(&line.id)) {
            held.entry(line.pid).or_default().push(line.id);
        }
        if held.values().map(Vec::len).sum::<usize>() >= jobs.len() {
            return held.into_iter().max_by_key(|(_, jobs)| jobs.len()).context("a worker");
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "not all of the endless jobs have begun: {held:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How long running jobs go on after their cancellation.
async fn cancels(site: &Arc<Site>) -> Result<Vec<f64>> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let site = site.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..CANCELS / 4 {
                let id = site.ask(&Work { millis: FOREVER }).await?;
                while ledger::find(&site.app.db, id).await?.context("the job")?.started_at.is_none() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                let asked = Instant::now();
                jobs::cancel(&site.app, id).await?;
                site.is_over(id, Duration::from_secs(20)).await?;
                times.push(asked.elapsed().as_secs_f64());
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

/// Jobs that are cancelled at once. Those that had not begun never begin, though they were announced.
async fn risen(site: &Site) -> Result<Vec<String>> {
    let mut cancelled = Vec::new();
    for _ in 0..100 {
        let job = NewJob::of(&Work { millis: 0 })?;
        let enqueued = ledger::insert(site.app.db.write(), site.app.clock.now(), &job).await?;
        let row =
            ledger::cancel(&site.app.db, site.app.clock.now(), enqueued.id).await?.context("the job")?;
        jobs::queue::announce(&site.app.redis, &[enqueued]).await;
        if row.state == jobs::JobState::Cancelled {
            cancelled.push(job.id);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lines = kinds::read(&site.journal)?;
    let risen = lines.iter().filter(|line| cancelled.contains(&line.id));
    Ok(risen.map(|line| line.id.to_string()).collect())
}
