//! The backup file: a line with the format, a line with the manifest in JSON, the database, and the SHA-256 of all that.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    checksum::{Tables, differences},
    files::folder_of,
};
use crate::platform::db::Engine;

/// Identifies the format; an incompatible format gets another number.
const FIRST_LINE: &str = "parkade backup 1\n";

/// The length of the last line: 64 hexadecimal digits and a line feed.
const HASH_LENGTH: u64 = 65;

const MAX_MANIFEST_LENGTH: u64 = 1 << 20;

/// Describes a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The release that made it.
    pub version: String,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// The database engine; a backup can only be restored into the same one.
    pub engine: Engine,
    /// The version of the engine.
    pub engine_version: String,
    /// The applied migrations, in order.
    pub schema: Vec<String>,
    /// The checksum of each table.
    pub tables: Tables,
}

impl Manifest {
    /// Compares restored tables with those that were backed up.
    pub(super) fn verify(&self, restored: &Tables) -> Result<()> {
        let different = differences(&self.tables, restored);
        ensure!(
            different.is_empty(),
            "restored tables differ from the backup: {}; the database was not changed",
            different.join(", ")
        );
        Ok(())
    }
}

/// A writer that hashes everything written to it.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a backup with the database from `body`. The file appears under its name only after it is complete and synced to
/// disk, and only its owner can read it. It never replaces another.
pub(super) fn write(
    path: &Path,
    manifest: &Manifest,
    body: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let folder = folder_of(path);
    let file = tempfile::Builder::new().prefix(".parkade-").suffix(".part").tempfile_in(folder);
    let file = file.with_context(|| format!("cannot write to {}", folder.display()))?;
    let mut out = Hashing { inner: BufWriter::new(file), hash: Sha256::new() };
    out.write_all(FIRST_LINE.as_bytes())?;
    serde_json::to_writer(&mut out, manifest)?;
    out.write_all(b"\n")?;
    body(&mut out)?;
    let Hashing { mut inner, hash } = out;
    writeln!(inner, "{:x}", hash.finalize())?;
    let file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// A backup whose hash has been checked.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) manifest: Manifest,
    file: File,
    body_start: u64,
    body_length: u64,
}

impl Archive {
    /// Opens a backup, reading all of it once to check its hash.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::read(file).with_context(|| format!("cannot use {}", path.display()))
    }

    fn read(mut file: File) -> Result<Self> {
        let mut first = vec![0; FIRST_LINE.len()];
        let is_ours = file.read_exact(&mut first).is_ok() && first == FIRST_LINE.as_bytes();
        ensure!(is_ours, "it is not a Parkade backup, or was made in a newer format");
        check_hash(&mut file)?;
        file.seek(SeekFrom::Start(first.len() as u64))?;
        let mut line = Vec::new();
        BufReader::new(&file).take(MAX_MANIFEST_LENGTH).read_until(b'\n', &mut line)?;
        let manifest = serde_json::from_slice(&line).context("cannot read its manifest")?;
        let body_start = (first.len() + line.len()) as u64;
        let body_length = file.metadata()?.len() - HASH_LENGTH - body_start;
        Ok(Self { manifest, file, body_start, body_length })
    }

    /// A reader of the database.
    pub(super) fn body(&self) -> Result<impl Read> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.body_start))?;
        Ok(file.take(self.body_length))
    }
}

/// Compares the hash of the file with its last line.
fn check_hash(file: &mut File) -> Result<()> {
    let Some(length) = file.metadata()?.len().checked_sub(HASH_LENGTH) else { bail!("it is truncated") };
    file.rewind()?;
    let mut hashing = Hashing { inner: io::sink(), hash: Sha256::new() };
    io::copy(&mut BufReader::with_capacity(1 << 16, &*file).take(length), &mut hashing)?;
    file.seek(SeekFrom::Start(length))?;
    let mut last = Vec::new();
    file.read_to_end(&mut last)?;
    ensure!(last == format!("{:x}\n", hashing.hash.finalize()).as_bytes(), "it is damaged or truncated");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            version: "1.2.3".into(),
            created_at: "2026-11-20T13:07:00Z".parse().unwrap(),
            engine: Engine::Sqlite,
            engine_version: "3".into(),
            schema: vec!["m01_users".into()],
            tables: Tables::default(),
        }
    }

    #[test]
    fn a_written_backup_is_read_back_and_any_change_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &manifest(), |out| Ok(out.write_all(b"rows\nand more\n")?)).unwrap();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.manifest, manifest());
        let mut body = Vec::new();
        archive.body().unwrap().read_to_end(&mut body).unwrap();
        assert_eq!(body, b"rows\nand more\n");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            for bytes in [&damaged[..], &whole[..at], &[&whole[..], b"\n"].concat()] {
                std::fs::write(&path, bytes).unwrap();
                assert!(Archive::open(&path).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_failed_backup_leaves_the_previous_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &manifest(), |out| Ok(out.write_all(b"first")?)).unwrap();
        let before = std::fs::read(&path).unwrap();
        write(&path, &manifest(), |out| {
            out.write_all(&[0; 100_000])?;
            bail!("no more")
        })
        .unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
