//! Calls the proposer once a second. The only file that uses tokio-cron-scheduler.
//!
//! tokio-cron-scheduler contributes the tick at every full second. It does not read the schedules: its time zones break
//! when clocks change, and it considers neither other workers nor ticks missed while no worker ran. [`super::timetable`]
//! computes which ticks are due, and the database lets one worker win each of them.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::proposer::{Proposer, Schedule};
use crate::app::App;

/// Proposes at least this often, even if no tick comes.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Enqueues the jobs of schedules, missed ones first, until `stop`. A proposal that has begun is finished.
pub async fn run(app: &App, schedules: impl IntoIterator<Item = Schedule>, stop: &CancellationToken) {
    let mut proposer = Proposer::new(app.clone(), schedules);
    let tick = Arc::new(Notify::new());
    // Dropping it ends the ticks.
    let ticker = start_ticker(tick.clone()).await;
    if let Err(error) = &ticker {
        tracing::error!(%error, "no ticker; schedules are checked every few seconds");
    }
    while !stop.is_cancelled() {
        if let Err(error) = proposer.propose_due().await {
            tracing::warn!(error = error.chain(), "scheduled jobs not enqueued; retrying");
        }
        tokio::select! {
            _ = tokio::time::timeout(MAX_PAUSE, tick.notified()) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Ok(mut ticker) = ticker
        && let Err(error) = ticker.shutdown().await
    {
        tracing::debug!(%error, "the ticker did not stop cleanly");
    }
}

/// Notifies every second, in UTC. A tick during a proposal is followed by another proposal.
async fn start_ticker(tick: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    scheduler.add(Job::new("* * * * * *", move |_, _| tick.notify_one())?).await?;
    scheduler.start().await?;
    Ok(scheduler)
}
