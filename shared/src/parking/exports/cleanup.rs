//! The job that frees disk space: files of expired exports, and files left behind by crashes.

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
    job::WriteExport,
};
use crate::{
    app::App,
    base::{error::Result, identity::Identity},
    jobs::{Change, Context, Done, Job, JobState, NewJob, Queue, ledger::row as job},
    platform::{
        db::{at, sql},
        entities::export,
        idempotency::Idempotency,
    },
};

/// Runs [`free_space`].
#[derive(Debug, Serialize, Deserialize)]
pub struct CleanUpExports {}

/// Files looked up in one query.
const CHUNK: usize = 500;

/// What a clean-up removed.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Freed {
    /// Exports that had expired.
    pub expired: usize,
    /// Files removed, including those without an export.
    pub files: u64,
    /// Their total size.
    pub bytes: u64,
}

impl Job for CleanUpExports {
    const NAME: &'static str = "clean-up-exports";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> Result<Done> {
        Ok(Done::with(json!(free_space(&context.app).await?)))
    }
}

/// Enqueues a clean-up, or returns the one that is already queued or running.
pub async fn clean_up(app: &App, who: &Identity, idempotency: Idempotency<Uuid>) -> Result<Uuid> {
    let job = NewJob::of(&CleanUpExports {})?.owner(who.user_id).unique("exports");
    let mut change = Change::begin(app).await?;
    let id = change.enqueue(&job).await?;
    change.commit_with_answer(&idempotency, id).await
}

/// Removes the files of expired exports, and files without an export. Safe to repeat and to run concurrently.
pub async fn free_space(app: &App) -> Result<Freed> {
    let mut freed = Freed::default();
    remove_expired(app, &mut freed).await?;
    remove_orphans(app, &mut freed).await?;
    Ok(freed)
}

/// Marks expired exports as removed, then removes their files; after a crash in between, the file is an orphan.
async fn remove_expired(app: &App, freed: &mut Freed) -> Result<()> {
    let (db, now) = (app.db.write(), at(app.clock.now()));
    let text = "UPDATE exports SET removed_at = $1 WHERE expires_at <= $1 AND removed_at IS NULL RETURNING id, format";
    let rows = db.query_all_raw(sql(db, text, [now])).await?;
    for row in &rows {
        let (id, format) = (row.try_get("", "id")?, row.try_get("", "format")?);
        freed.remove(&file::path(&app.config.upload_folder, id, format))?;
    }
    freed.expired = rows.len();
    Ok(())
}

/// Removes finished files that nobody can download, and unfinished ones that no running job is writing.
async fn remove_orphans(app: &App, freed: &mut Freed) -> Result<()> {
    let files = Name::list(&app.config.upload_folder).context("listing the export files")?;
    for chunk in files.chunks(CHUNK) {
        let (states, removed) = (job_states(app, chunk).await?, removed_exports(app, chunk).await?);
        for name in chunk {
            let is_needed = match (name, states.get(&name.id())) {
                (Name::Unfinished { .. }, state) => state == Some(&JobState::Running),
                // The job moves the file to its final name just before it succeeds.
                (Name::Finished { id, .. }, Some(JobState::Running | JobState::Succeeded)) => {
                    !removed.contains(id)
                }
                (Name::Finished { .. }, _) => false,
            };
            if !is_needed {
                freed.remove(&app.config.upload_folder.join(name.to_string()))?;
            }
        }
    }
    Ok(())
}

async fn job_states(app: &App, files: &[Name]) -> Result<HashMap<Uuid, JobState>> {
    let rows = job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::State])
        .filter(job::Column::Kind.eq(WriteExport::NAME))
        .filter(job::Column::Id.is_in(files.iter().map(Name::id)))
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(rows.into_iter().collect())
}

/// The exports whose file was removed or was about to be.
async fn removed_exports(app: &App, files: &[Name]) -> Result<HashSet<Uuid>> {
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
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
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
