//! The file of an export: written under a temporary name, and renamed once it is complete.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{base::error::Error, platform::entities::export::Format};

/// The path of the finished file of an export.
#[must_use]
pub fn path(folder: &Path, id: Uuid, format: Format) -> PathBuf {
    folder.join(Name::Finished { id, format }.to_string())
}

/// The name of an export file. Files with any other name are not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `ID.csv`, `ID.xlsx` or `ID.zip`
    Finished {
        /// The export.
        id: Uuid,
        /// Its format.
        format: Format,
    },
    /// `ID.RUN.part`
    Unfinished {
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
            Self::Finished { id, .. } | Self::Unfinished { id, .. } => *id,
        }
    }

    /// The export files in `folder`; none if the folder does not exist.
    ///
    /// # Errors
    /// If the folder cannot be read.
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
        // Folders and links are not ours, whatever their name.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        is_file.then(|| Self::parse(entry.file_name().to_str()?)).flatten()
    }

    fn parse(text: &str) -> Option<Self> {
        let (stem, extension) = text.rsplit_once('.')?;
        let name = if extension == "part" {
            let (id, run) = stem.split_once('.')?;
            Self::Unfinished { id: id.parse().ok()?, run: run.parse().ok()? }
        } else {
            let format = Format::ALL.into_iter().find(|format| format.as_str() == extension)?;
            Self::Finished { id: stem.parse().ok()?, format }
        };
        // UUIDs can be written in several ways, and we use only one of them.
        (name.to_string() == text).then_some(name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finished { id, format } => write!(f, "{id}.{}", format.as_str()),
            Self::Unfinished { id, run } => write!(f, "{id}.{run}.part"),
        }
    }
}

/// A file that is being written. Dropping it before [`PartFile::finish`] removes it.
#[derive(Debug)]
pub struct PartFile {
    part: PathBuf,
    target: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    stop: CancellationToken,
    has_failed: bool,
    is_finished: bool,
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// In bytes.
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl PartFile {
    /// Creates the file of export `id` under a name for this run, because two workers may believe to hold the job. After
    /// `stop`, nothing more can be written.
    ///
    /// # Errors
    /// If the folder or the file cannot be created.
    pub fn create(folder: &Path, id: Uuid, format: Format, stop: CancellationToken) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let part = folder.join(Name::Unfinished { id, run: Uuid::new_v4() }.to_string());
        let file = File::create(&part)?;
        let (target, hash) = (path(folder, id, format), Sha256::new());
        Ok(Self { part, target, file, hash, bytes: 0, stop, has_failed: false, is_finished: false })
    }

    /// Flushes the file to disk.
    ///
    /// # Errors
    /// If the file cannot be flushed, for example because the disk is full, or is not complete.
    pub fn sync(&self) -> io::Result<Facts> {
        if self.has_failed {
            return Err(io::Error::other("the file is not complete"));
        }
        self.file.sync_all()?;
        Ok(Facts { bytes: self.bytes, sha256: hex::encode(self.hash.clone().finalize()) })
    }

    /// Moves the file to its final name, atomically: readers see all of it or nothing.
    ///
    /// # Errors
    /// If the file cannot be renamed, or its folder not flushed.
    pub fn finish(mut self) -> io::Result<()> {
        fs::rename(&self.part, &self.target)?;
        self.is_finished = true;
        if let Some(folder) = self.target.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl PartFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("the export was stopped"));
        }
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }
}

impl Write for PartFile {
    /// After an error nothing is written, without another error: the writer of archives goes on, and prints what fails then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return Ok(bytes.len());
        }
        let written = self.append(bytes);
        self.has_failed = written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(%error, file = %self.part.display(), "cannot remove an unfinished export file");
        }
    }
}

/// What to report about a file that cannot be written.
pub(super) fn write_error(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        // Retrying within minutes would not help; an alert tells administrators about nearly full disks.
        Error::Permanent("storage full".into())
    } else {
        anyhow::Error::new(error).context("writing the export file").into()
    }
}
