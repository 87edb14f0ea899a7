//! Running a worker until a stop is requested.

use std::time::Duration;

use shared::{
    jobs::{Outcome, Queue, schedule, transport::Relay},
    operations::schedules,
    platform::mailer::Mailer,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{alerts, audit_linker, consumers, upkeep, worker::Worker};

/// How long running jobs may continue after a stop was requested. Then they go back into the queue.
const GRACE_PERIOD: Duration = Duration::from_secs(18);

/// How long interrupted jobs may take to record that.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(5);

impl Worker {
    /// Works until `stop` is cancelled, then lets running jobs finish or go back into the queue.
    pub async fn run(&self, stop: CancellationToken) {
        tracing::info!(worker = &*self.name, "worker started");
        if let Mailer::File { folder, .. } = &self.app.mailer {
            tracing::info!(mail.folder = %folder.display(), "no mail server is set: mails are written as files");
        }
        self.start_periodic_work(&stop);
        let _feeding = self.feed();
        let consuming = self.consume(&stop);
        self.drain(&stop).await;
        if tokio::time::timeout(INTERRUPT_TIMEOUT, consuming.join_all()).await.is_err() {
            tracing::warn!("a consumer did not end in time");
        }
        tracing::info!(worker = &*self.name, "worker stopped");
    }

    /// Starts the periodic tasks, whose current round is finished when the worker stops.
    fn start_periodic_work(&self, stop: &CancellationToken) {
        let (app, stopped) = (self.app.clone(), stop.clone());
        self.tasks.spawn(async move { upkeep::run(&app, &stopped).await });
        let (app, stopped) = (self.app.clone(), stop.clone());
        self.tasks.spawn(async move { audit_linker::run(&app, &stopped).await });
        let (worker, stopped) = (self.clone(), stop.clone());
        self.tasks.spawn(async move { alerts::run(&worker, &stopped).await });
        let (app, stopped) = (self.app.clone(), stop.clone());
        self.tasks.spawn(async move {
            match schedules::all(&app.config) {
                Ok(schedules) => schedule::run(&app, schedules, &stopped).await,
                Err(error) => tracing::error!(error = error.chain(), "no schedule is run"),
            }
        });
    }

    /// Receives signals and pushes due jobs until the returned tasks are dropped.
    fn feed(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (signals, redis) = (self.signals.clone(), self.app.redis.clone());
        tasks.spawn(async move { signals.listen(&redis).await });
        for queue in Queue::ALL {
            let mut relay = Relay::new(self.app.clone(), queue);
            tasks.spawn(async move { relay.run().await });
        }
        tasks
    }

    fn consume(&self, stop: &CancellationToken) -> JoinSet<()> {
        let workers = self.app.config.workers;
        let mut tasks = JoinSet::new();
        for (queue, concurrency) in [
            (Queue::Mail, workers.mail),
            (Queue::Exports, workers.exports),
            (Queue::Maintenance, workers.maintenance),
        ] {
            for share in consumers::split(concurrency) {
                let (worker, stop) = (self.clone(), stop.clone());
                tasks.spawn(async move { consumers::run(&worker, queue, share, stop).await });
            }
        }
        tasks
    }

    /// Waits for `stop` and the running jobs. A consumer waits for its jobs, so unfinished ones are interrupted here.
    async fn drain(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(GRACE_PERIOD, self.tasks.wait()).await.is_ok() {
            return;
        }
        tracing::info!(jobs = self.tasks.len(), "returning unfinished jobs to the queue");
        self.signals.stop_all(&Outcome::Released);
        if tokio::time::timeout(INTERRUPT_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!(jobs = self.tasks.len(), "jobs left running; other workers take them over");
        }
    }
}
