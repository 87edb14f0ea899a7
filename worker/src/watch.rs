//! What a worker keeps an eye on so that administrators hear of it: dead jobs, full disks, a Redis that is away.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::{
    app::App,
    parking::notifications::alert::{self, Alert},
    platform::disk,
};
use tokio_util::sync::CancellationToken;

use crate::{Worker, perform::perform};

const PAUSE: Duration = Duration::from_secs(2);

/// A Redis that is away for a shorter time is nobody's business.
const REDIS_PATIENCE: Duration = Duration::from_secs(30);

/// Looks around for as long as it is polled, until `stop`. Workers may do this side by side.
pub async fn run(worker: &Worker, stop: &CancellationToken) {
    let mut redis = RedisWatch::default();
    loop {
        let app = &worker.app;
        for looked in
            [alert::check_failed_jobs(app).await, look_at_disks(app).await, redis.look(worker).await]
        {
            if let Err(error) = looked {
                tracing::warn!(error = error.chain(), "cannot look after the installation; trying again");
            }
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Raises an alert about the fullest disk that we write to, if it is too full.
async fn look_at_disks(app: &App) -> shared::Result<()> {
    if alert::due(app, Alert::DiskFull).await?.is_none() {
        return Ok(());
    }
    // What grows: exports, and a database that is a file.
    let folders = [Some(app.config.upload_folder.clone()), app.config.database_folder()];
    let looking = tokio::task::spawn_blocking(move || {
        let used = |folder: PathBuf| Some((disk::used_percent(&folder).ok()?, folder));
        folders.into_iter().flatten().filter_map(used).max()
    });
    let fullest = looking.await.context("looking at the disks")?;
    let limit = app.config.notifications.disk_alert_percent;
    if let Some((used, folder)) = fullest.filter(|(used, _)| *used >= limit) {
        let facts = vec![
            ("Folder".to_owned(), folder.display().to_string()),
            ("Used".to_owned(), format!("{used} %")),
            ("Limit".to_owned(), format!("{limit} %")),
        ];
        alert::raise(app, Alert::DiskFull, "A disk is nearly full", facts).await?;
    }
    Ok(())
}

/// Since when Redis has been away, and whether administrators have been told.
#[derive(Debug, Default)]
struct RedisWatch {
    away_since: Option<Instant>,
    told: bool,
}

impl RedisWatch {
    async fn look(&mut self, worker: &Worker) -> shared::Result<()> {
        let app = &worker.app;
        let Err(error) = app.redis.ping_all().await else {
            self.away_since = None;
            if self.told {
                alert::raise(app, Alert::RedisBack, "Redis answers again", Vec::new()).await?;
                self.told = false;
            }
            return Ok(());
        };
        let away = self.away_since.get_or_insert_with(Instant::now).elapsed();
        // Told once, and again after an hour if it is still away.
        if away < REDIS_PATIENCE || self.told && alert::due(app, Alert::RedisLost).await?.is_none() {
            return Ok(());
        }
        let facts = vec![
            ("Reason".to_owned(), error.chain()),
            (
                "Meanwhile".to_owned(),
                "jobs wait in the ledger, and requests are answered from the database".to_owned(),
            ),
        ];
        let told = alert::raise(app, Alert::RedisLost, "A worker does not reach Redis", facts).await?;
        self.told = true;
        // Who else would run them: jobs are announced through Redis.
        for id in told {
            perform(worker, id).await;
        }
        Ok(())
    }
}
