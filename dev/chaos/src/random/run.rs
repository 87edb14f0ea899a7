//! A run: start everything, inject the faults, let all jobs finish, check.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bench::{
    report::Report,
    testbed::{self, Databases},
};
use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use shared::platform::db::{Engine, at, sql};
use uuid::Uuid;

use super::{
    cluster::Cluster,
    evidence::Evidence,
    load::Load,
    plan::Plan,
    quiet::{self, Quiet},
};

#[derive(clap::Args)]
pub struct Options {
    /// Determines the faults and their times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long faults are injected.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Keep logs and data even if everything passes.
    #[arg(long)]
    keep: bool,
    /// The databases to run on.
    #[arg(long, default_value = "both")]
    database: Databases,
}

/// After the last fault, all jobs are done within this time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Fails when a requirement is broken.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    // Side by side, because most of the time is spent waiting.
    let on = async |engine: &Engine| {
        let mut report = Report::default();
        let done = one(*engine, options, length, &mut report).await;
        (report, done.with_context(|| format!("on {engine:?}")))
    };
    for (part, done) in futures::future::join_all(options.database.engines().iter().map(on)).await {
        report.append(part);
        done?;
    }
    let broken = report.broken();
    ensure!(broken.is_empty(), "seed {}: broken requirements:\n  {}", options.seed, broken.join("\n  "));
    Ok(())
}

async fn one(engine: Engine, options: &Options, length: Duration, report: &mut Report) -> Result<()> {
    let seed = options.seed;
    let name = testbed::name(engine);
    let cluster = Cluster::start(engine).await?;
    let load = Load::new(&cluster).await?;
    let plan = Plan::new(seed, length);
    println!("{name}: {} faults in {length:.0?} by seed {seed}", plan.count(|_| true));
    let supervising = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.supervise_workers().await }
    });
    let watching = tokio::spawn(watch(cluster.clone()));
    let quiet = inject(&cluster, &load, &plan, seed, length).await;
    supervising.abort();
    watching.abort();
    let checked = async {
        let quiet = quiet?;
        let mut evidence = Evidence::gather(name, &cluster, &load, report).await?;
        check(&mut evidence, quiet).await
    };
    let checked = checked.await;
    let _ = (supervising.await, watching.await);
    drop(load);
    if options.keep || checked.is_err() || !report.broken().is_empty() {
        println!("{name}: logs and data are kept in {:?}", cluster.keep());
    }
    checked
}

/// Injects the faults under load, then heals everything, lets all jobs finish and measures without faults.
async fn inject(
    cluster: &Arc<Cluster>,
    load: &Arc<Load>,
    plan: &Plan,
    seed: u64,
    length: Duration,
) -> Result<Quiet> {
    let started = Instant::now();
    let mut clients = load.start(seed).await?;
    tokio::try_join!(cluster.inject(&plan.processes, started), cluster.inject(&plan.network, started))?;
    tokio::time::sleep(length.saturating_sub(started.elapsed())).await;
    cluster.heal().await?;
    load.stop();
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let mut quiet = Quiet { settled: quiet::settle(cluster, SETTLE_TIMEOUT).await?, ..Quiet::default() };
    // Only now: before, jobs waited for the backlog and not for the poison job.
    quiet.beside_poison = quiet::beside_poison(cluster).await?;
    quiet::measure(cluster, &mut quiet).await?;
    quiet::settle(cluster, SETTLE_TIMEOUT).await?;
    cluster.background.close();
    cluster.background.wait().await;
    Ok(quiet)
}

/// Adds the result of every check to the report.
async fn check(evidence: &mut Evidence<'_>, quiet: Quiet) -> Result<()> {
    evidence.ends();
    evidence.promises()?;
    evidence.changes().await?;
    evidence.runs();
    evidence.ticks().await?;
    evidence.mails().await?;
    evidence.exports()?;
    evidence.recovery();
    evidence.processes();
    evidence.quiet(quiet);
    evidence.integrity().await
}

/// A finished job.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct Finished {
    id: Uuid,
    state: String,
    attempt: i64,
    result: Option<String>,
    finished_at: DateTime<Utc>,
}

/// Notes finished jobs that change, which they must not, until it is aborted.
async fn watch(cluster: Arc<Cluster>) -> Result<()> {
    let mut seen: HashMap<Uuid, Finished> = HashMap::new();
    loop {
        let (db, since) = (cluster.app.db.read(), cluster.app.clock.now() - Duration::from_secs(60));
        let text = "SELECT id, state, attempt, result, finished_at FROM jobs WHERE finished_at > $1";
        let jobs = Finished::find_by_statement(sql(db, text, [at(since)])).all(db).await;
        let jobs = jobs.unwrap_or_default();
        for job in &jobs {
            if let Some(before) = seen.get(&job.id).filter(|before| *before != job) {
                cluster.notes().changed.push(format!("{before:?} became {job:?}"));
            }
        }
        seen.extend(jobs.into_iter().map(|job| (job.id, job)));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
