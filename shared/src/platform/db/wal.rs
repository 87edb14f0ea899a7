//! The write-ahead log of a SQLite file: commits that end at about the same time are written to the disk together.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sea_orm::{DbErr, RuntimeErr};

use crate::base::coalesce::Coalesce;

/// The log. Cheap to clone.
///
/// With `synchronous = NORMAL`, SQLite writes a commit to the log, but leaves it to the system when that reaches the
/// disk, except around a checkpoint. So whoever needs a durable commit waits here for an `fsync` that begins after it. The
/// connection is free for the next transaction meanwhile.
#[derive(Clone)]
pub(super) struct WriteAheadLog {
    file: Arc<PathBuf>,
    calls: Arc<Coalesce<Result<(), Arc<io::Error>>>>,
}

impl std::fmt::Debug for WriteAheadLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WriteAheadLog").field(&self.file).finish()
    }
}

impl WriteAheadLog {
    /// The log of the database in `file`.
    pub(super) fn of(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push("-wal");
        Self { file: Arc::new(name.into()), calls: Arc::default() }
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns when everything that is committed now is on the disk.
    ///
    /// # Errors
    /// [`DbErr::Conn`] if the disk fails: then the outcome of the commit is unknown.
    pub(super) async fn write(&self) -> Result<(), DbErr> {
        let file = self.file.clone();
        let written = self.calls.join("", move |callers| {
            let file = file.clone();
            async move {
                let synced = tokio::task::spawn_blocking(move || sync(&file)).await;
                let synced = synced.map_err(io::Error::other).flatten().map_err(Arc::new);
                vec![synced; callers]
            }
        });
        match written.await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(not_written(&error)),
            None => Err(not_written(&"the task that writes it panicked")),
        }
    }
}

/// SQLite locks the file of the database and that of the index, but not the log, so closing it here releases no lock.
fn sync(file: &Path) -> io::Result<()> {
    match File::open(file) {
        Ok(log) => log.sync_data(),
        // The last connection has written everything to the database, and removed the log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn not_written(why: &impl std::fmt::Display) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("the write-ahead log was not written to the disk: {why}")))
}
