//! Parkade beside a plain system in Python (`dev/bench/peer`) on the same rows, measured in turn.

mod answers;
mod compare;
mod data;
mod export;
mod options;
mod peak;
mod run;
mod sink;
mod system;
mod usage;
mod work;

use anyhow::{Context, Result};
use bench::{report::Report, testbed::Testbed};
use shared::{
    parking::accounts::password::{self, Priority},
    platform::db::Engine,
};

pub use self::options::Options;
use self::{run::Run, system::System};
use crate::api::PASSWORD;

pub async fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(Engine::Postgres).await?;
    let server = testbed.postgres.as_ref().context("PostgreSQL is not running")?;
    let hash = password::hash(Priority::Other, PASSWORD.into()).await?;
    data::seed(server, options, &hash).await?;
    let peer = System::peer(server, &options.python).await?;
    let ours = System::ours(testbed).await?;
    let mut run = Run::new(ours, peer, options, &hash).await?;
    let measured = run.measure().await;
    // Figures taken before a failure are shown, too.
    run.add_to(report);
    measured
}
