//! The worker process of a run: the product's worker with additional kinds of jobs that write a journal.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    app::App,
    jobs::{
        Context, Done, Job, NewJob, Queue,
        schedule::{Proposer, Schedule, Timetable},
    },
    platform::config::{Config, Sources},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::{Worker, registry::Registry};

use super::journal::{self, Event};

/// Takes this long, on the mail queue.
#[derive(Serialize, Deserialize)]
pub struct Work {
    pub millis: u64,
}

/// Does nothing, on the queue that runs one job at a time.
#[derive(Serialize, Deserialize)]
pub struct Upkeep {}

/// Aborts its worker.
#[derive(Serialize, Deserialize)]
pub struct Poison {}

/// Enqueued by the schedule [`TICKS`].
#[derive(Serialize, Deserialize)]
pub struct Tick {
    pub due: DateTime<Utc>,
}

/// A schedule that every worker proposes in addition to the real ones.
pub const TICKS: &str = "chaos-ticks";

impl Job for Tick {
    const NAME: &'static str = "chaos-tick";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        journaled(context, async {}).await
    }
}

impl Job for Work {
    const NAME: &'static str = "chaos-work";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        journaled(context, tokio::time::sleep(Duration::from_millis(self.millis))).await
    }
}

impl Job for Upkeep {
    const NAME: &'static str = "chaos-upkeep";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        journaled(context, async {}).await
    }
}

impl Job for Poison {
    const NAME: &'static str = "chaos-poison";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        journaled(context, async { std::process::abort() }).await
    }
}

/// The result is the attempt, so that a stale write can be told from the one that counts.
async fn journaled(context: &Context, work: impl Future<Output = ()> + Send) -> shared::Result<Done> {
    journal::append(context.id, context.attempt, Event::Begin)?;
    work.await;
    journal::append(context.id, context.attempt, Event::End)?;
    Ok(Done::with(json!({ "attempt": context.attempt })))
}

#[derive(clap::Args)]
pub struct Options {
    /// The file to append to.
    journal: PathBuf,
}

/// Works until SIGTERM, as `parkade-worker` does.
pub async fn run(options: &Options) -> Result<()> {
    journal::open(&options.journal)?;
    let config = Config::load(Sources::read(None))?;
    let _spans = shared::platform::telemetry::init(&config, "parkade-worker")?;
    let app = App::start(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let (stop, mut terminate) = (CancellationToken::new(), signal(SignalKind::terminate())?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopped.cancel();
    });
    tokio::spawn(propose_ticks(app.clone()));
    let registry = Registry::default().with::<Work>().with::<Upkeep>().with::<Poison>().with::<Tick>();
    Worker::new(app.clone(), registry).run(stop).await;
    app.finish().await;
    Ok(())
}

/// Proposes a tick every ten seconds until the schedule is paused.
async fn propose_ticks(app: App) -> Result<()> {
    let timetable = Timetable::new("*/10 * * * * *", app.config.zone)?;
    let schedule = Schedule { name: TICKS, timetable, job: |due| NewJob::of(&Tick { due }) };
    let mut proposer = Proposer::new(app, [schedule]);
    loop {
        // A failed proposal is repeated in the next round.
        let _ = proposer.propose_due().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
