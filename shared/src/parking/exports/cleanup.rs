//! The job that frees the disk: files whose time has passed, and what crashes left behind.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use anyhow::Context as _;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    file::{self, Name},
    job::ExportCsv,
};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Context, Done, Job, JobState, Queue, ledger::row as job},
    platform::{
        db::{at, sql},
        entities::export,
    },
};

/// Removes the files of expired exports and those that belong to none.
#[derive(Debug, Serialize, Deserialize)]
pub struct CleanUpExports {}

/// Files looked up at once.
const CHUNK: usize = 500;

/// What was removed.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Freed {
    /// Exports whose time has passed.
    pub expired: usize,
    /// Files, of these and of none.
    pub files: u64,
    /// What these took of the disk.
    pub bytes: u64,
}

impl Job for CleanUpExports {
    const NAME: &'static str = "clean-up-exports";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> Result<Done> {
        Ok(Done::with(json!(free_space(&context.app).await?)))
    }
}

/// Removes the files of expired exports and those that belong to none. It may be done again, and side by side.
///
/// # Errors
/// Those of the database and of the file system.
pub async fn free_space(app: &App) -> Result<Freed> {
    let mut freed = Freed::default();
    remove_expired(app, &mut freed).await?;
    remove_orphans(app, &mut freed).await?;
    Ok(freed)
}

/// Marks exports whose time has passed, then removes their files; a crash in between leaves an orphan for later.
async fn remove_expired(app: &App, freed: &mut Freed) -> Result<()> {
    let db = app.db.write();
    let now = app.clock.now();
    let rows = db
        .query_all_raw(sql(
            db,
            "UPDATE exports SET removed_at = $1 WHERE expires_at <= $1 AND removed_at IS NULL RETURNING id",
            [at(now)],
        ))
        .await?;
    for row in &rows {
        freed.remove(&file::path(&app.config.upload_folder, row.try_get("", "id")?))?;
    }
    freed.expired = rows.len();
    Ok(())
}

/// Removes finished files without a download, and unfinished ones that nobody writes any more.
async fn remove_orphans(app: &App, freed: &mut Freed) -> Result<()> {
    let files = Name::list(&app.config.upload_folder).context("listing the export files")?;
    for chunk in files.chunks(CHUNK) {
        let (states, removed) = (states(app, chunk).await?, removed(app, chunk).await?);
        for name in chunk {
            let is_needed = match (name, states.get(&name.id())) {
                (Name::Part { .. }, state) => state == Some(&JobState::Running),
                // The job gives the file its name a moment before it succeeds.
                (Name::Whole { id }, Some(JobState::Running | JobState::Succeeded)) => !removed.contains(id),
                (Name::Whole { .. }, _) => false,
            };
            if !is_needed {
                freed.remove(&app.config.upload_folder.join(name.to_string()))?;
            }
        }
    }
    Ok(())
}

async fn states(app: &App, files: &[Name]) -> Result<HashMap<Uuid, JobState>> {
    let rows = job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::State])
        .filter(job::Column::Kind.eq(ExportCsv::NAME))
        .filter(job::Column::Id.is_in(files.iter().map(Name::id)))
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(rows.into_iter().collect())
}

/// Those whose file was removed before, or was to be.
async fn removed(app: &App, files: &[Name]) -> Result<HashSet<Uuid>> {
    let rows = export::Entity::find()
        .select_only()
        .column(export::Column::Id)
        .filter(export::Column::RemovedAt.is_not_null())
        .filter(export::Column::Id.is_in(files.iter().map(Name::id)))
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(rows.into_iter().collect())
}

impl Freed {
    fn remove(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::metadata(path).map_or(0, |facts| facts.len());
        match fs::remove_file(path) {
            Ok(()) => {
                self.files += 1;
                self.bytes += bytes;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                Err(anyhow::Error::new(error).context(format!("removing {}", path.display())).into())
            }
        }
    }
}
