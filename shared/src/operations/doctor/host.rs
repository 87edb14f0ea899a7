//! Checks settings, folders, disks and backups of this machine.

use std::{io, path::Path};

use super::{
    rules,
    verdict::{Verdict, ok, problem, warning},
};
use crate::{
    base::clock::Clock,
    operations::backup,
    platform::{
        config::{Config, Environment},
        disk,
    },
};

pub(super) fn check_settings(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let is_production = config.environment == Environment::Production;
    let now = clock.now().with_timezone(&config.zone);
    let warnings = config
        .warnings
        .iter()
        .map(|warning| super::verdict::warning(warning, "correct the name, or unset it"));
    let mut found = vec![
        rules::secret(&config.jwt_keys),
        rules::public_url(&config.public_url, is_production),
        rules::origins(&config.cors_origins, is_production),
        ok(format!("the local time in {} is {}", config.zone, now.format("%A, %H:%M"))),
    ];
    found.extend(warnings);
    found
}

pub(super) fn check_files(config: &Config) -> Vec<Verdict> {
    let folder = &config.upload_folder;
    let mut found = vec![check_writable("UPLOAD_FOLDER", folder)];
    if config.mail.server.is_none() {
        found.push(check_writable("MAIL_FOLDER", &config.mail.folder));
    }
    found
        .extend(config.operations.backup_folder.iter().map(|folder| check_writable("BACKUP_FOLDER", folder)));
    let limit = config.notifications.disk_alert_percent;
    let folders = [("UPLOAD_FOLDER", Some(folder.clone())), ("the database", config.database_folder())];
    for (name, folder) in folders.into_iter().filter_map(|(name, folder)| Some((name, folder?))) {
        found.push(match disk::used_percent(&folder) {
            Ok(used) => rules::disk(name, used, limit),
            Err(error) => warning(format!("cannot check the disk of {name}: {error}"), "check the path"),
        });
    }
    found
}

fn check_writable(name: &str, folder: &Path) -> Verdict {
    match tempfile::tempfile_in(folder) {
        Ok(_) => ok(format!("{name} is writable")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => warning(
            format!("{name} does not exist yet: {}", folder.display()),
            "it is created when it is needed, if its parent folder is writable",
        ),
        Err(error) => problem(
            format!("{name} is not writable: {}: {error}", folder.display()),
            "give the user that runs the processes write access to the folder",
        ),
    }
}

pub(super) fn check_backup(config: &Config, clock: &Clock) -> Verdict {
    let folder = config.operations.backup_folder.as_deref();
    let files = folder.map(backup::files).and_then(Result::ok).unwrap_or_default();
    rules::backup(folder.is_some(), files.last().map(|(_, time)| (clock.now() - *time).num_hours()))
}
