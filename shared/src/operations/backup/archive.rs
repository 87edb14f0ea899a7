//! The file of a backup: a line that says so, a line of JSON, the database, and a SHA-256 of all that.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sum::Tables;
use crate::platform::db::Engine;

/// Another number would be another format.
const FIRST_LINE: &str = "parkade backup 1\n";

/// Hexadecimal digits and an end of line.
const SEAL: u64 = 65;

/// No manifest is longer.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The release that made it.
    pub version: String,
    /// As of when.
    pub created_at: DateTime<Utc>,
    /// Of which database.
    pub engine: Engine,
    /// Its version.
    pub engine_version: String,
    /// The migrations that were applied, in order.
    pub schema: Vec<String>,
    /// The rows of each table.
    pub tables: Tables,
}

/// Hashes what passes.
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

/// Writes a backup whose database comes from `body`. There is no file of that name before it is whole and on the disk, and
/// one of before is there until then. Only its owner can read it.
///
/// # Errors
/// Those of the disk and of `body`.
pub(super) fn write(
    path: &Path,
    manifest: &Manifest,
    body: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let folder = super::folder_of(path);
    let file = tempfile::Builder::new().prefix(".parkade-").suffix(".part").tempfile_in(folder);
    let file = file.with_context(|| format!("cannot write in {}", folder.display()))?;
    let mut out = Hashing { inner: BufWriter::new(file), hash: Sha256::new() };
    out.write_all(FIRST_LINE.as_bytes())?;
    serde_json::to_writer(&mut out, manifest)?;
    out.write_all(b"\n")?;
    body(&mut out)?;
    let Hashing { mut inner, hash } = out;
    writeln!(inner, "{}", hex(hash))?;
    let file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// A backup that is whole.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) manifest: Manifest,
    file: File,
    /// Where the database begins, and how long it is.
    begin: u64,
    length: u64,
}

impl Archive {
    /// Opens a backup and reads all of it once.
    ///
    /// # Errors
    /// When it is none, or is not as it was written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::read(file).with_context(|| format!("{} cannot be used", path.display()))
    }

    fn read(mut file: File) -> Result<Self> {
        let mut first = vec![0; FIRST_LINE.len()];
        let is_ours = file.read_exact(&mut first).is_ok() && first == FIRST_LINE.as_bytes();
        ensure!(is_ours, "it is no backup of Parkade, or one of a later format");
        check(&mut file)?;
        file.seek(SeekFrom::Start(first.len() as u64))?;
        let mut line = Vec::new();
        BufReader::new(&file).take(LONGEST_MANIFEST).read_until(b'\n', &mut line)?;
        let manifest = serde_json::from_slice(&line).context("its manifest cannot be read")?;
        let begin = (first.len() + line.len()) as u64;
        let length = file.metadata()?.len() - SEAL - begin;
        Ok(Self { manifest, file, begin, length })
    }

    /// The database.
    pub(super) fn body(&self) -> Result<impl Read> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.begin))?;
        Ok(file.take(self.length))
    }
}

/// Compares the file with its last line.
fn check(file: &mut File) -> Result<()> {
    let Some(length) = file.metadata()?.len().checked_sub(SEAL) else { bail!("it is cut short") };
    file.rewind()?;
    let mut hashing = Hashing { inner: io::sink(), hash: Sha256::new() };
    io::copy(&mut BufReader::with_capacity(1 << 16, &*file).take(length), &mut hashing)?;
    file.seek(SeekFrom::Start(length))?;
    let mut seal = Vec::new();
    file.read_to_end(&mut seal)?;
    ensure!(seal == format!("{}\n", hex(hashing.hash)).as_bytes(), "it is damaged or cut short");
    Ok(())
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
