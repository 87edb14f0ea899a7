//! The clock of the schedules: wakes the proposing once a second. Which ticks are due is reckoned in `shared`.

use std::{sync::Arc, time::Duration};

use shared::{app::App, jobs::schedule::Proposer, operations::schedules};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

/// Proposes also when the ticker has not been heard for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Proposes what is due until `stop`, never in the middle. Ticks that were missed come first.
pub async fn run(app: &App, stop: &CancellationToken) {
    let mut proposer = match schedules::all(&app.config) {
        Ok(schedules) => Proposer::new(app.clone(), schedules),
        Err(error) => return tracing::error!(error = error.chain(), "nothing runs by itself"),
    };
    let awake = Arc::new(Notify::new());
    // Kept for as long as this runs: its end is that of the ticker.
    let ticker = ticker(awake.clone()).await;
    if let Err(error) = &ticker {
        tracing::error!(%error, "no ticker; schedules are looked at every few seconds");
    }
    while !stop.is_cancelled() {
        if let Err(error) = proposer.look().await {
            tracing::warn!(error = error.chain(), "cannot propose what is due; trying again");
        }
        tokio::select! {
            _ = tokio::time::timeout(PATIENCE, awake.notified()) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Ok(mut ticker) = ticker
        && let Err(error) = ticker.shutdown().await
    {
        tracing::debug!(%error, "the ticker did not end well");
    }
}

/// Notifies every second, in UTC. It may do so while a look is under way, which then is followed by another one.
async fn ticker(awake: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    scheduler.add(Job::new("* * * * * *", move |_, _| awake.notify_one())?).await?;
    scheduler.start().await?;
    Ok(scheduler)
}
