//! CSV exports: asked for, written by a job, downloaded for a day.

pub mod cleanup;
pub mod csv;
pub mod file;
pub mod job;

pub use cleanup::{Freed, free_space};

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use self::{cleanup::CleanUpExports, job::ExportCsv};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    jobs::{self, Job, NewJob, ledger, queue, status},
    parking::activity,
    platform::{
        db::{Transaction, at, sql},
        entities::export,
        idempotency::Idempotency,
    },
};

/// What the export is to hold.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Reservations that begin at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Reservations that begin before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Of this lot only.
    pub lot_id: Option<i64>,
    /// Without identities.
    pub anonymise: bool,
    /// Of everybody; administrators only.
    pub everyone: bool,
}

/// Where an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The job has not ended; its state says more.
    Underway(status::State),
    /// The file can be downloaded.
    Ready,
    /// The file was removed, or its time has passed.
    Expired,
    /// The job failed.
    Failed,
    /// Its owner gave it up.
    Cancelled,
}

/// An export and its job.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Export {
    /// Also the id of the job.
    pub id: Uuid,
    /// Whose.
    pub user_id: i64,
    /// Whether it holds everybody's reservations.
    pub everyone: bool,
    /// Suggested to the browser.
    pub file_name: Option<String>,
    /// Records without the header, once written.
    pub row_count: Option<i64>,
    /// Size, once written.
    pub byte_count: Option<i64>,
    /// Of the file, in hexadecimal.
    pub sha256: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When the file was whole.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it can be downloaded no more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the file was removed.
    pub removed_at: Option<DateTime<Utc>>,
    /// Of the job.
    pub state: String,
    /// Of the job.
    pub progress_current: i64,
    /// Of the job.
    pub progress_total: i64,
}

impl Export {
    /// Where it stands at `now`.
    #[must_use]
    pub fn stage(&self, now: DateTime<Utc>) -> Stage {
        match self.state.as_str() {
            "succeeded" if self.removed_at.is_some() || self.expires_at.is_none_or(|at| at <= now) => {
                Stage::Expired
            }
            "succeeded" => Stage::Ready,
            "failed" => Stage::Failed,
            "cancelled" => Stage::Cancelled,
            "running" => Stage::Underway(status::State::Progress),
            _ => Stage::Underway(status::State::Pending),
        }
    }
}

const SELECT: &str = "
    SELECT e.id, e.user_id, e.everyone, e.file_name, e.row_count, e.byte_count, e.sha256, e.created_at, e.ready_at, e.expires_at,
        e.removed_at, j.state, j.progress_current, j.progress_total
    FROM exports e JOIN jobs j ON j.id = e.id";

/// Where the file of an export is, once there is one.
#[must_use]
pub fn download_url(id: Uuid) -> String {
    format!("/api/export/download/{id}")
}

/// Asks for an export. Returns the id under which it is followed.
///
/// # Errors
/// [`Error::Forbidden`] for everybody's rows without being an administrator; [`Error::Invalid`] for a reversed span.
pub async fn request(app: &App, who: &Identity, request: Request, keep: Idempotency<Uuid>) -> Result<Uuid> {
    if request.everyone && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may export everybody's reservations"));
    }
    if request.from.zip(request.until).is_some_and(|(from, until)| from >= until) {
        return Err(Error::invalid("/to", "must be later than from"));
    }
    let now = app.clock.now();
    let job = NewJob::of(&ExportCsv {})?.owner(who.user_id);
    let local = now.with_timezone(&app.config.zone).format("%Y%m%d_%H%M%S");
    let tx = app.db.begin().await?;
    let job = ledger::insert(&tx, now, &job).await?;
    export::ActiveModel {
        id: Set(job.id),
        user_id: Set(who.user_id),
        everyone: Set(request.everyone),
        from_at: Set(request.from),
        until_at: Set(request.until),
        lot_id: Set(request.lot_id),
        anonymise: Set(request.anonymise),
        file_name: Set(Some(format!("parking_history_{local}.csv"))),
        created_at: Set(now),
        ..Default::default()
    }
    .insert(&tx)
    .await?;
    activity::record(&tx, now, who.user_id, activity::Kind::Export, Some(job.id.to_string())).await?;
    keep.store(&tx, &job.id).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![job]);
    Ok(job.id)
}

/// One export that the caller may see.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one or somebody else's.
pub async fn find(app: &App, who: &Identity, id: Uuid) -> Result<Export> {
    let statement = sql(app.db.read(), &format!("{SELECT} WHERE e.id = $1"), [id.into()]);
    Export::find_by_statement(statement)
        .one(app.db.read())
        .await?
        .filter(|export| who.is_admin || export.user_id == who.user_id && !export.everyone)
        .ok_or(Error::NotFound("export"))
}

/// Exports, the newest first: those of a user, or everybody's.
///
/// # Errors
/// Those of the database.
pub async fn history(app: &App, user_id: Option<i64>, page: &Page<Uuid>) -> Result<Paged<Export>> {
    // Ids sort by the time of their making.
    let text = format!(
        "{SELECT} WHERE ($1 IS NULL OR e.user_id = $1) AND ($2 IS NULL OR e.id < $2) ORDER BY e.id DESC LIMIT $3"
    );
    let statement = sql(app.db.read(), &text, [user_id.into(), page.after.into(), page.fetch_limit().into()]);
    Ok(page.trim(Export::find_by_statement(statement).all(app.db.read()).await?))
}

/// Enqueues the removal of files that nobody can download any more. One that waits or runs already is the one.
///
/// # Errors
/// Those of the database.
pub async fn clean_up(app: &App, who: &Identity, keep: Idempotency<Uuid>) -> Result<Uuid> {
    let job = NewJob::of(&CleanUpExports {})?.owner(who.user_id).unique("exports");
    let tx = app.db.begin().await?;
    let job = ledger::insert(&tx, app.clock.now(), &job).await?;
    keep.store(&tx, &job.id).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![job]);
    Ok(job.id)
}

/// The file of a finished export, with the name to suggest.
///
/// # Errors
/// [`Error::NotFound`] as [`find`]; [`Error::Conflict`] while there is no file; [`Error::Gone`] when it has expired.
pub async fn download(app: &App, who: &Identity, id: Uuid) -> Result<(PathBuf, String)> {
    let export = find(app, who, id).await?;
    let path = file::path(&app.config.upload_folder, id);
    match export.stage(app.clock.now()) {
        Stage::Ready if path.is_file() => Ok((path, export.file_name.unwrap_or_else(|| format!("{id}.csv")))),
        Stage::Ready | Stage::Expired => {
            Err(Error::Gone("the file has expired; request a new export".into()))
        }
        Stage::Underway(_) => {
            Err(Error::conflict("export_not_ready", "the export is not finished yet; poll its status"))
        }
        Stage::Failed => Err(Error::conflict("export_failed", "the export failed; request a new one")),
        Stage::Cancelled => Err(Error::conflict("export_cancelled", "the export was cancelled")),
    }
}

/// Gives up an export: a waiting one ends at once, a running one within a moment.
///
/// # Errors
/// [`Error::NotFound`] as [`find`]; [`Error::Conflict`] when it has ended already.
pub async fn cancel(app: &App, who: &Identity, id: Uuid) -> Result<()> {
    let export = find(app, who, id).await?;
    if matches!(export.stage(app.clock.now()), Stage::Cancelled) {
        return Ok(());
    }
    if jobs::cancel(app, id).await? {
        Ok(())
    } else {
        Err(Error::conflict("export_ended", "the export has ended already"))
    }
}

/// Takes a user's exports away, in the caller's transaction: files expire now, and what is underway is given up.
///
/// # Errors
/// Those of the database.
pub async fn withdraw_all(tx: &Transaction, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    ledger::cancel_all(tx, now, user_id, ExportCsv::NAME).await?;
    let text = "UPDATE exports SET expires_at = $2 WHERE user_id = $1 AND expires_at > $2";
    tx.execute_raw(sql(tx, text, [user_id.into(), at(now)])).await?;
    Ok(())
}
