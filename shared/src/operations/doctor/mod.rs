//! The doctor: looks at everything that Parkade needs, and says what to do. It changes nothing.

mod database;
mod rules;
mod services;

use std::{future::Future, io, path::Path, time::Duration};

use serde::Serialize;

pub use self::rules::{Level, Verdict};
use self::rules::{ok, problem, warning};
use crate::{
    base::clock::Clock,
    operations::backup,
    platform::{
        config::{Config, Environment},
        disk,
    },
};

/// No look takes longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A verdict, and about what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Such as `database`.
    pub area: &'static str,
    /// What was found, and what to do.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Looks at everything. What cannot be reached is a finding, no error.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let (database, services) =
        tokio::join!(in_time("database", database::look(config, clock)), services::look(config, clock));
    let mut found = settings(config, clock);
    found.extend(database);
    found.extend(services);
    found.extend(about("files", files(config)));
    found.extend(about("backup", [last_backup(config, clock)]));
    found
}

fn about(area: &'static str, verdicts: impl IntoIterator<Item = Verdict>) -> Vec<Finding> {
    verdicts.into_iter().map(|verdict| Finding { area, verdict }).collect()
}

/// What was found in time.
async fn in_time(area: &'static str, look: impl Future<Output = Vec<Verdict>>) -> Vec<Finding> {
    let late = || {
        let what = format!("no answer within {} s", PATIENCE.as_secs());
        vec![problem(what, "it is frozen or overloaded, or the network swallows what is sent")]
    };
    about(area, tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| late()))
}

fn settings(config: &Config, clock: &Clock) -> Vec<Finding> {
    let is_production = config.environment == Environment::Production;
    let secret = config.jwt_secret().ok();
    let now = clock.now().with_timezone(&config.zone);
    about(
        "settings",
        [
            rules::secret(secret),
            rules::public_url(&config.public_url, is_production),
            rules::origins(&config.cors_origins, is_production),
            ok(format!("in {} it is {}", config.zone, now.format("%A, %H:%M"))),
        ],
    )
}

fn files(config: &Config) -> Vec<Verdict> {
    let folder = &config.upload_folder;
    let mut found = vec![writable("UPLOAD_FOLDER", folder)];
    let limit = config.notifications.disk_alert_percent;
    let folders = [("UPLOAD_FOLDER", Some(folder.clone())), ("the database", config.database_folder())];
    for (name, folder) in folders.into_iter().filter_map(|(name, folder)| Some((name, folder?))) {
        found.push(match disk::used_percent(&folder) {
            Ok(used) => rules::disk(name, used, limit),
            Err(error) => {
                warning(format!("the disk of {name} cannot be looked at: {error}"), "check the path")
            }
        });
    }
    found
}

fn writable(name: &str, folder: &Path) -> Verdict {
    match tempfile::tempfile_in(folder) {
        Ok(_) => ok(format!("{name} can be written to")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => warning(
            format!("{name} is not there yet"),
            "the first export makes it, if the folder above is ours",
        ),
        Err(error) => problem(
            format!("{name} cannot be written to: {error}"),
            "give the folder to the user that the processes run as",
        ),
    }
}

fn last_backup(config: &Config, clock: &Clock) -> Verdict {
    let folder = config.operations.backup_folder.as_deref();
    let files = folder.map(backup::files).and_then(Result::ok).unwrap_or_default();
    rules::backup(folder.is_some(), files.last().map(|(_, time)| (clock.now() - *time).num_hours()))
}
