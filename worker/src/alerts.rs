//! Alerts for administrators: dead jobs, full disks, a wrong clock, outages of Redis and of the mail server.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::TimeDelta;
use shared::{
    app::App,
    parking::notifications::{
        alert::{self, Alert},
        outage,
    },
    platform::{clock_check::WrongClock, disk},
};
use tokio_util::sync::CancellationToken;

use crate::{consume::perform, worker::Worker};

const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A shorter outage of Redis raises no alert.
const REDIS_OUTAGE: Duration = Duration::from_secs(30);

/// Checks every two seconds until `stop`. Several workers may do so at once.
pub async fn run(worker: &Worker, stop: &CancellationToken) {
    let app = &worker.app;
    let mut redis = RedisCheck::default();
    loop {
        let checked = match app.wrong_clock().await {
            // Alerts that are raised by a clock in the future are followed by none for as long.
            Some(ahead) => vec![alert_wrong_clock(worker, ahead).await],
            None => {
                vec![
                    alert::check_failed_jobs(app).await,
                    outage::check(app).await,
                    check_disks(app).await,
                    redis.check(worker).await,
                ]
            }
        };
        for error in checked.into_iter().filter_map(Result::err) {
            tracing::warn!(error = error.chain(), "cannot check for alerts; retrying");
        }
        if tokio::time::timeout(CHECK_INTERVAL, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Raises and sends an alert by the clock of the servers. Other workers may be absent, so it is sent here.
async fn alert_wrong_clock(worker: &Worker, ahead: TimeDelta) -> shared::Result<()> {
    let app = worker.app.with_clock(worker.app.clock.offset(-ahead));
    if alert::due(&app, Alert::WrongClock).await?.is_none() {
        return Ok(());
    }
    let fact = |label: &str, text: &str| (label.to_owned(), text.to_owned());
    let facts = vec![
        fact("Worker", &worker.name),
        fact("Clock", &WrongClock::Own(ahead).to_string()),
        fact("Meanwhile", "this worker runs no jobs, schedules or maintenance"),
    ];
    let worker = Worker { app, ..worker.clone() };
    for id in alert::raise(&worker.app, Alert::WrongClock, "The clock of a worker is wrong", facts).await? {
        perform(&worker, id).await;
    }
    Ok(())
}

/// Raises an alert if the fullest disk that Parkade writes to is too full.
async fn check_disks(app: &App) -> shared::Result<()> {
    if alert::due(app, Alert::DiskFull).await?.is_none() {
        return Ok(());
    }
    // Exports and a SQLite database grow.
    let folders = [Some(app.config.upload_folder.clone()), app.config.database_folder()];
    let reading = tokio::task::spawn_blocking(move || {
        let used = |folder: PathBuf| Some((disk::used_percent(&folder).ok()?, folder));
        folders.into_iter().flatten().filter_map(used).max()
    });
    let fullest = reading.await.context("reading how full the disks are")?;
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

/// Since when Redis has been away, and whether an alert was raised about it.
#[derive(Debug, Default)]
struct RedisCheck {
    away_since: Option<Instant>,
    is_alerted: bool,
}

impl RedisCheck {
    async fn check(&mut self, worker: &Worker) -> shared::Result<()> {
        let app = &worker.app;
        let Err(error) = app.redis.ping_all().await else {
            self.away_since = None;
            if self.is_alerted {
                alert::raise(app, Alert::RedisBack, "Redis responds again", Vec::new()).await?;
                self.is_alerted = false;
            }
            return Ok(());
        };
        let away = self.away_since.get_or_insert_with(Instant::now).elapsed();
        // One alert, and another one each hour of the outage.
        if away < REDIS_OUTAGE || self.is_alerted && alert::due(app, Alert::RedisLost).await?.is_none() {
            return Ok(());
        }
        let facts = vec![
            ("Reason".to_owned(), error.chain()),
            (
                "Meanwhile".to_owned(),
                "jobs wait in the ledger, and requests are answered from the database".to_owned(),
            ),
        ];
        let jobs = alert::raise(app, Alert::RedisLost, "A worker does not reach Redis", facts).await?;
        self.is_alerted = true;
        // Without Redis nobody receives these jobs, so they are run here.
        for id in jobs {
            perform(worker, id).await;
        }
        Ok(())
    }
}
