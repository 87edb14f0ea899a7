//! One thing goes wrong under a steady load, and what callers see of it is compared with the calm before.

mod arrivals;
mod balancer;
mod calls;
mod database;
mod disk;
mod ground;
mod overload;
mod redis;
mod rolling;

use anyhow::{Context, Result, ensure};
use shared::platform::db::Engine;

use crate::{report::Report, stage::Which};

/// What to do.
#[derive(clap::Args)]
pub struct Options {
    /// What goes wrong.
    trouble: Trouble,
    /// On which databases.
    #[arg(long, default_value = "both")]
    database: Which,
    /// How long there are too many calls (`overload`).
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Leave logs and data behind, also when all is well.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Trouble {
    /// Redis is killed, frozen, cut off or full.
    Redis,
    /// The database is.
    Database,
    /// The disk is full while exports are written.
    Disk,
    /// More calls come than can be answered.
    Overload,
    /// Processes are replaced one after the other.
    Rolling,
}

/// Lets it happen on each database, one after the other, since times are measured. The report has the figures, and the
/// error says which goals are missed.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    for engine in options.database.engines() {
        on(*engine, options, report).await.with_context(|| format!("on {engine:?}"))?;
    }
    let broken = report.broken();
    ensure!(broken.is_empty(), "missed\n  {}", broken.join("\n  "));
    Ok(())
}

async fn on(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let mut ground = ground::Ground::open(engine).await?;
    let done = match options.trouble {
        Trouble::Redis => redis::run(&mut ground, report).await,
        Trouble::Database => database::run(&mut ground, report).await,
        Trouble::Disk => disk::run(&mut ground, report).await,
        Trouble::Overload => {
            overload::run(&mut ground, report, std::time::Duration::from_secs(options.seconds)).await
        }
        Trouble::Rolling => rolling::run(&mut ground, report).await,
    };
    if options.keep || done.is_err() || !report.broken().is_empty() {
        ground.keep();
    }
    done
}
