//! An export file in the making: written beside its final name and moved there when it is whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Where the finished file of an export is.
#[must_use]
pub fn path(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(Name::Whole { id }.to_string())
}

/// The names that export files have. Others in the folder are none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A finished file.
    Whole {
        /// The export.
        id: Uuid,
    },
    /// One in the making.
    Part {
        /// The export.
        id: Uuid,
        /// The run that writes it.
        run: Uuid,
    },
}

impl Name {
    /// The export that the file belongs to.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        match self {
            Self::Whole { id } | Self::Part { id, .. } => *id,
        }
    }

    /// Those in the folder, none if it is not there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn list(folder: &Path) -> io::Result<Vec<Self>> {
        match fs::read_dir(folder) {
            Ok(entries) => {
                entries.filter_map(|entry| entry.map(|entry| Self::of(&entry)).transpose()).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn of(entry: &fs::DirEntry) -> Option<Self> {
        // A folder or a link is none of ours, whatever its name.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        is_file.then(|| Self::read(entry.file_name().to_str()?)).flatten()
    }

    fn read(text: &str) -> Option<Self> {
        let name = match text.strip_suffix(".csv") {
            Some(id) => Self::Whole { id: id.parse().ok()? },
            None => {
                let (id, run) = text.strip_suffix(".part")?.split_once('.')?;
                Self::Part { id: id.parse().ok()?, run: run.parse().ok()? }
            }
        };
        // Ids can be written in several ways, and ours are in one.
        (name.to_string() == text).then_some(name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole { id } => write!(f, "{id}.csv"),
            Self::Part { id, run } => write!(f, "{id}.{run}.part"),
        }
    }
}

/// A file that vanishes again unless it is finished.
#[derive(Debug)]
pub struct PartFile {
    part: PathBuf,
    target: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    whole: bool,
}

/// What a finished file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl PartFile {
    /// Begins the file of export `id`; `run` keeps apart two workers that believe to have the same job.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(folder: &Path, id: Uuid, run: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let part = folder.join(Name::Part { id, run }.to_string());
        let file = File::create(&part)?;
        Ok(Self { part, target: path(folder, id), file, hash: Sha256::new(), bytes: 0, whole: false })
    }

    /// Makes sure that the bytes are on the disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sync(&self) -> io::Result<Facts> {
        self.file.sync_all()?;
        let sha256 =
            self.hash.clone().finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Ok(Facts { bytes: self.bytes, sha256 })
    }

    /// Gives the file its name. Readers see it whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(mut self) -> io::Result<()> {
        fs::rename(&self.part, &self.target)?;
        self.whole = true;
        if let Some(folder) = self.target.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.whole
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(%error, file = %self.part.display(), "unfinished export not removed");
        }
    }
}
