//! The worker of a chaos run: the real one, with kinds of jobs that write down when they begin and end.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
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
use uuid::Uuid;
use worker::{Worker, registry::Registry};

/// Takes some time, on the mail lane.
#[derive(Serialize, Deserialize)]
pub struct Work {
    /// How long.
    pub millis: u64,
}

/// The same on the lane that runs one job at a time.
#[derive(Serialize, Deserialize)]
pub struct Upkeep {}

/// Ends its worker.
#[derive(Serialize, Deserialize)]
pub struct Poison {}

/// What the schedule of these workers asks for.
#[derive(Serialize, Deserialize)]
pub struct Tick {
    /// When it was due.
    pub due: DateTime<Utc>,
}

/// The schedule, which every worker proposes beside the real ones.
pub const TICKS: &str = "chaos-ticks";

impl Job for Tick {
    const NAME: &'static str = "chaos-tick";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        note(context, Event::Begin)?;
        note(context, Event::End)?;
        Ok(Done::with(json!({ "attempt": context.attempt })))
    }
}

impl Job for Work {
    const NAME: &'static str = "chaos-work";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        note(context, Event::Begin)?;
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        note(context, Event::End)?;
        Ok(Done::with(json!({ "attempt": context.attempt })))
    }
}

impl Job for Upkeep {
    const NAME: &'static str = "chaos-upkeep";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        note(context, Event::Begin)?;
        note(context, Event::End)?;
        Ok(Done::with(json!({ "attempt": context.attempt })))
    }
}

impl Job for Poison {
    const NAME: &'static str = "chaos-poison";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        note(context, Event::Begin)?;
        std::process::abort()
    }
}

/// Where the worker is in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It has begun.
    Begin,
    /// It is through, and about to say so.
    End,
}

/// A line of the journal that all workers of a run write.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// In microseconds since 1970.
    pub at: u64,
    /// Which worker.
    pub pid: u32,
    /// Which job.
    pub id: Uuid,
    /// Which run of it.
    pub attempt: i64,
    /// What.
    pub event: Event,
}

/// The machine's clock.
pub fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

static JOURNAL: OnceLock<File> = OnceLock::new();

/// Adds a line in one write, so that a kill leaves a whole line or none.
fn note(context: &Context, event: Event) -> shared::Result<()> {
    let event = if event == Event::Begin { 'B' } else { 'E' };
    let line = format!("{} {} {} {} {event}\n", micros(), std::process::id(), context.id, context.attempt);
    let mut journal = JOURNAL.get().context("a journal")?;
    journal.write_all(line.as_bytes()).context("the journal")?;
    Ok(())
}

/// What the workers have written.
pub fn read(journal: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(journal)?;
    text.lines().map(|line| parse(line).with_context(|| format!("a line of the journal: {line:?}"))).collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    Some(Line {
        at: words.next()?.parse().ok()?,
        pid: words.next()?.parse().ok()?,
        id: words.next()?.parse().ok()?,
        attempt: words.next()?.parse().ok()?,
        event: if words.next()? == "B" { Event::Begin } else { Event::End },
    })
}

/// What the worker process is told.
#[derive(clap::Args)]
pub struct Options {
    /// Where to write down what is run.
    journal: PathBuf,
}

/// The worker process: works until SIGTERM, as `parkade-worker` does.
pub async fn worker(options: &Options) -> Result<()> {
    let journal = OpenOptions::new().create(true).append(true).open(&options.journal)?;
    JOURNAL.set(journal).ok().context("one journal")?;
    let config = Config::load(Sources::read(None))?;
    let _spans = shared::platform::telemetry::init(&config, "parkade-worker")?;
    let app = App::start(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let (stop, mut terminate) = (CancellationToken::new(), signal(SignalKind::terminate())?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopped.cancel();
    });
    tokio::spawn(propose(app.clone()));
    let registry = Registry::default().with::<Work>().with::<Upkeep>().with::<Poison>().with::<Tick>();
    Worker::new(app.clone(), registry).run(stop).await;
    app.finish().await;
    Ok(())
}

/// Proposes a tick every ten seconds, until the schedule is paused.
async fn propose(app: App) -> Result<()> {
    let timetable = Timetable::new("*/10 * * * * *", app.config.zone)?;
    let schedule = Schedule { name: TICKS, timetable, job: |due| NewJob::of(&Tick { due }) };
    let mut proposer = Proposer::new(app, [schedule]);
    loop {
        // What fails is proposed at the next look.
        let _ = proposer.propose_due().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
