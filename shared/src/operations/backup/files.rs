//! Backup files in a folder: their names, and the folder of a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDateTime, Utc};

const FORMAT: &str = "parkade-%Y%m%dT%H%M%SZ.backup";

/// The name of a backup made at this time.
#[must_use]
pub fn file_name(now: DateTime<Utc>) -> String {
    now.format(FORMAT).to_string()
}

/// The backups in a folder with the times in their names, oldest first. Files with other names are ignored.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<(PathBuf, DateTime<Utc>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let time =
            entry.file_name().to_str().and_then(|name| NaiveDateTime::parse_from_str(name, FORMAT).ok());
        files.extend(time.map(|time| (entry.path(), time.and_utc())));
    }
    files.sort_unstable_by_key(|(_, time)| *time);
    Ok(files)
}

/// The folder that contains a file; `.` for a bare file name.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
