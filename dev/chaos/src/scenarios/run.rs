//! Runs a scenario on each database.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::{report::Report, testbed::Databases};
use shared::platform::db::Engine;

use super::{database, disk, failover, overload, redis, rolling, testbed::Testbed};

#[derive(clap::Args)]
pub struct Options {
    scenario: Scenario,
    /// The databases to run on.
    #[arg(long, default_value = "both")]
    database: Databases,
    /// How long the load is too high (`overload`).
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keep logs and data even if everything passes.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Scenario {
    /// Redis is killed, frozen, cut off or full.
    Redis,
    /// The database is killed, frozen, cut off or locked.
    Database,
    /// The primary dies, and its standby is promoted (PostgreSQL only).
    Failover,
    /// The disk is full.
    Disk,
    /// Four times as many requests arrive as can be answered.
    Overload,
    /// Processes are replaced one after the other.
    Rolling,
}

/// Fails when a requirement is broken. The databases are tested one after the other, because response times are measured.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    for engine in options.database.engines() {
        on(*engine, options, report).await.with_context(|| format!("on {engine:?}"))?;
    }
    let broken = report.broken();
    ensure!(broken.is_empty(), "broken requirements:\n  {}", broken.join("\n  "));
    Ok(())
}

async fn on(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let mut testbed = Testbed::start(engine).await?;
    let done = match options.scenario {
        Scenario::Redis => redis::run(&mut testbed, report).await,
        Scenario::Database => database::run(&mut testbed, report).await,
        Scenario::Failover => failover::run(&mut testbed, report).await,
        Scenario::Disk => disk::run(&mut testbed, report).await,
        Scenario::Overload => overload::run(&testbed, report, Duration::from_secs(options.seconds)).await,
        Scenario::Rolling => rolling::run(&testbed, report).await,
    };
    if options.keep || done.is_err() || !report.broken().is_empty() {
        testbed.keep();
    }
    done
}
