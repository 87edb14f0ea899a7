//! A chaos run: real processes, faults by a seeded plan, and what was asked for against what has happened.

mod calm;
mod faults;
mod goods;
mod judge;
pub mod kinds;
mod load;
mod plan;
mod site;
mod times;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use shared::platform::db::{Engine, at, sql};
use uuid::Uuid;

use self::{calm::Calm, judge::Evidence, load::Load, plan::Plan, site::Site};
use crate::{
    report::Report,
    stage::{self, Which},
};

/// What to do.
#[derive(clap::Args)]
pub struct Options {
    /// Makes the plan of faults; the same seed makes the same plan.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long things go wrong.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Leave logs and data behind, also when all is well.
    #[arg(long)]
    keep: bool,
    /// On which databases.
    #[arg(long, default_value = "both")]
    database: Which,
}

/// When the faults are over, all work is done within this.
const SETTLED: Duration = Duration::from_secs(120);

/// Runs it. The report has the figures, and the error says which goals are missed.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    // Side by side: most of the time is waiting.
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
    ensure!(broken.is_empty(), "seed {}: missed\n  {}", options.seed, broken.join("\n  "));
    Ok(())
}

async fn one(engine: Engine, options: &Options, length: Duration, report: &mut Report) -> Result<()> {
    let seed = options.seed;
    let name = stage::name(engine);
    let site = Site::open(engine).await?;
    let load = Load::new(&site).await?;
    let plan = Plan::new(seed, length);
    println!("{name}: {} faults in {length:.0?} by seed {seed}", plan.count(|_| true));
    let looking = tokio::spawn({
        let site = site.clone();
        async move { site.look_after_workers().await }
    });
    let watching = tokio::spawn(watch(site.clone()));
    let calm = storm(&site, &load, &plan, seed, length).await;
    looking.abort();
    watching.abort();
    let judged = async {
        let calm = calm?;
        let mut evidence = Evidence::gather(name, &site, &load, report).await?;
        evidence.judge(calm).await
    };
    let judged = judged.await;
    let _ = (looking.await, watching.await);
    drop(load);
    if options.keep || judged.is_err() || !report.broken().is_empty() {
        println!("{name}: logs and data stay in {:?}", site.keep());
    }
    judged
}

/// Everything goes wrong that is planned; then everything goes well until all is done.
async fn storm(site: &Arc<Site>, load: &Arc<Load>, plan: &Plan, seed: u64, length: Duration) -> Result<Calm> {
    let begun = Instant::now();
    let mut clients = load.start(seed).await?;
    let suffering = tokio::try_join!(site.suffer(&plan.processes, begun), site.suffer(&plan.network, begun));
    suffering?;
    tokio::time::sleep(length.saturating_sub(begun.elapsed())).await;
    site.calm_down().await?;
    load.stop();
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let mut calm = Calm { settled: calm::settle(site, SETTLED).await?, ..Calm::default() };
    // Only now, or those beside the poison would wait for the backlog of the storm.
    calm.beside_poison = calm::beside_poison(site).await?;
    calm::measure(site, &mut calm).await?;
    calm::settle(site, SETTLED).await?;
    site.background.close();
    site.background.wait().await;
    Ok(calm)
}

/// A row that has ended.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct End {
    id: Uuid,
    state: String,
    attempt: i64,
    result: Option<String>,
    finished_at: DateTime<Utc>,
}

/// Looks at jobs that have ended lately, again and again: an end is final.
async fn watch(site: Arc<Site>) -> Result<()> {
    let mut seen: HashMap<Uuid, End> = HashMap::new();
    loop {
        let (db, since) = (site.app.db.read(), site.app.clock.now() - Duration::from_secs(60));
        let text = "SELECT id, state, attempt, result, finished_at FROM jobs WHERE finished_at > $1";
        let ends = End::find_by_statement(sql(db, text, [at(since)])).all(db).await;
        let ends = ends.unwrap_or_default();
        for end in &ends {
            if let Some(before) = seen.get(&end.id).filter(|before| *before != end) {
                site.notes().changed.push(format!("{before:?} became {end:?}"));
            }
        }
        seen.extend(ends.into_iter().map(|end| (end.id, end)));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
