//! The worker: takes jobs from the queues, runs them, and keeps the queues fed from the ledger.

pub mod cli;
pub mod consume;
pub mod cron;
pub mod metrics;
pub mod perform;
pub mod registry;
pub mod sweep;
pub mod table;
pub mod watch;

use std::{sync::Arc, time::Duration};

use shared::{
    app::App,
    jobs::{Interruption, Queue, relay::Relay, signals::Signals},
    platform::mailer::Mailer,
};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use metrics::Vitals;
use registry::Registry;

/// What a worker process works with.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The application.
    pub app: App,
    /// This process start, as shown to operators.
    pub name: Arc<str>,
    /// What it can do.
    pub registry: Registry,
    /// What it hears.
    pub signals: Signals,
    /// What it is doing.
    pub running: TaskTracker,
    /// How it is.
    pub vitals: Vitals,
}

/// Running jobs may finish for this long after a stop was asked for; then they go back into the queue.
const GRACE: Duration = Duration::from_secs(18);

/// Jobs that were interrupted need only write that down.
const FAREWELL: Duration = Duration::from_secs(5);

impl Worker {
    /// A worker that can do what `registry` lists.
    #[must_use]
    pub fn new(app: App, registry: Registry) -> Self {
        let name = format!("worker-{}", uuid::Uuid::new_v4().simple()).into();
        Self {
            app,
            name,
            registry,
            signals: Signals::default(),
            running: TaskTracker::new(),
            vitals: Vitals::default(),
        }
    }

    /// Works until `stop` is cancelled, then lets running jobs finish or go back.
    pub async fn run(&self, stop: CancellationToken) {
        tracing::info!(worker = &*self.name, "worker started");
        if let Mailer::File { folder, .. } = &self.app.mailer {
            tracing::info!(mail.folder = %folder.display(), "no mail server is set: mails are written as files");
        }
        let workers = self.app.config.workers;
        let mut feeding = JoinSet::new();
        let (signals, redis) = (self.signals.clone(), self.app.redis.clone());
        feeding.spawn(async move { signals.listen(&redis).await });
        let (app, stopped) = (self.app.clone(), stop.clone());
        self.running.spawn(async move { sweep::run(&app, &stopped).await });
        let (worker, stopped) = (self.clone(), stop.clone());
        self.running.spawn(async move { watch::run(&worker, &stopped).await });
        let (app, stopped) = (self.app.clone(), stop.clone());
        self.running.spawn(async move { cron::run(&app, &stopped).await });
        let mut consuming = JoinSet::new();
        for (queue, concurrency) in [
            (Queue::Mail, workers.mail),
            (Queue::Exports, workers.exports),
            (Queue::Maintenance, workers.maintenance),
        ] {
            let mut relay = Relay::new(self.app.clone(), queue);
            feeding.spawn(async move { relay.run().await });
            // A consumer fetches and acknowledges one message after the other, so a wide queue has several.
            for share in shares(concurrency) {
                let (worker, stop) = (self.clone(), stop.clone());
                consuming.spawn(async move { consume::run(&worker, queue, share, stop).await });
            }
        }
        self.drain(&stop).await;
        if tokio::time::timeout(FAREWELL, consuming.join_all()).await.is_err() {
            tracing::warn!("a consumer did not end in time");
        }
        tracing::info!(worker = &*self.name, "worker stopped");
    }

    /// A consumer waits for its jobs, so unfinished ones are interrupted from here.
    async fn drain(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        self.running.close();
        if tokio::time::timeout(GRACE, self.running.wait()).await.is_ok() {
            return;
        }
        tracing::info!(jobs = self.running.len(), "giving unfinished jobs back");
        self.signals.interrupt_all(Interruption::Shutdown);
        if tokio::time::timeout(FAREWELL, self.running.wait()).await.is_err() {
            tracing::warn!(jobs = self.running.len(), "jobs left behind; their leases run out by themselves");
        }
    }
}

/// Jobs at once for each consumer of a queue: at most four.
fn shares(concurrency: usize) -> impl Iterator<Item = usize> {
    (0..concurrency).step_by(4).map(move |done| (concurrency - done).min(4))
}
