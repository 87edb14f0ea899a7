//! What the demo keeps for its next run on the same files: its secrets, and which databases it has filled.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const DEFAULT_DATABASE: &str = "sqlite://parkade.db?mode=rwc";

/// The content of `demo.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// `JWT_SECRET_KEY`.
    pub(super) jwt: String,
    /// The password of all accounts.
    pub(super) password: String,
    /// The databases that are filled.
    seeded: Vec<String>,
}

/// The secrets, their file, and the database.
#[derive(Debug)]
pub(super) struct State {
    file: PathBuf,
    pub(super) secrets: Secrets,
    /// `DATABASE_URL`, relative to the demo's folder.
    pub(super) database: String,
}

impl State {
    /// Reads `demo.json` in the folder, or creates it.
    pub(super) fn open(folder: &Path, database: Option<String>) -> Result<Self> {
        let file = folder.join("demo.json");
        let secrets = match std::fs::read(&file) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Secrets {
                jwt: format!("{}{}", random(), random()),
                password: random()[..16].to_owned(),
                seeded: Vec::new(),
            },
            Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
        };
        let state = Self { file, secrets, database: database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()) };
        state.write()?;
        Ok(state)
    }

    pub(super) fn is_seeded(&self) -> bool {
        self.secrets.seeded.contains(&self.database)
    }

    /// Records that the database is filled.
    pub(super) fn set_seeded(&mut self) -> Result<()> {
        self.secrets.seeded.push(self.database.clone());
        self.write()
    }

    /// Writes the file, readable only by its owner.
    fn write(&self) -> Result<()> {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(true).mode(0o600).open(&self.file);
        let written = file.and_then(|mut file| file.write_all(&serde_json::to_vec_pretty(&self.secrets)?));
        written.with_context(|| format!("writing {}", self.file.display()))
    }
}

/// 32 random hexadecimal digits.
pub(super) fn random() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Locks the folder until the returned file is closed.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let file = File::create(folder.join("demo.lock"))?;
    if file.try_lock().is_err() {
        bail!("another demo uses {}; stop it, or choose another folder with --data", folder.display());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_reads_the_state_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = State::open(folder.path(), None).unwrap();
        assert!(!first.is_seeded());
        first.set_seeded().unwrap();
        let second = State::open(folder.path(), None).unwrap();
        assert_eq!(second.secrets.jwt, first.secrets.jwt);
        assert!(second.is_seeded());
        assert!(!State::open(folder.path(), Some("postgres://h/d".into())).unwrap().is_seeded());
    }

    #[test]
    fn two_demos_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().to_string().contains("another demo"));
        drop(held);
        lock(folder.path()).unwrap();
    }
}
