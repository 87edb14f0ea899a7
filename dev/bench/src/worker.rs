//! The worker process of the benchmarks: the product's worker with the additional kinds of jobs.

use anyhow::Result;
use shared::{
    app::App,
    platform::config::{Config, Sources},
};
use tokio_util::sync::CancellationToken;
use worker::{Worker, registry::Registry};

use crate::kinds::{Endless, Noop, Steps};

/// Runs until the process is killed.
pub async fn run() -> Result<()> {
    let config = Config::load(Sources::read(None))?;
    let _spans = shared::platform::telemetry::init(&config, "parkade-worker")?;
    let app = App::start(config).await?;
    let registry = Registry::default().with::<Noop>().with::<Steps>().with::<Endless>();
    Worker::new(app, registry).run(CancellationToken::new()).await;
    Ok(())
}
