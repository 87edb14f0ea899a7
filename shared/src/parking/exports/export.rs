//! An export as its owner sees it: its row joined with its job.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    jobs::JobState,
    platform::{db::sql, entities::export::Format},
};

/// How far an export has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The job has not ended.
    Underway(JobState),
    /// The file can be downloaded.
    Ready,
    /// The file has expired; it may already be removed.
    Expired,
    /// The job failed.
    Failed,
    /// Its owner cancelled it.
    Cancelled,
}

/// An export and its job.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Export {
    /// Also the id of the job.
    pub id: Uuid,
    /// The owner.
    pub user_id: i64,
    /// Whether it covers the reservations of all users.
    pub everyone: bool,
    /// The format of the file.
    pub format: Format,
    /// The name suggested to the browser.
    pub file_name: Option<String>,
    /// Records without the header, once written.
    pub row_count: Option<i64>,
    /// Size of the file, once written.
    pub byte_count: Option<i64>,
    /// Checksum of the file in hexadecimal, once written.
    pub sha256: Option<String>,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When the file was complete.
    pub ready_at: Option<DateTime<Utc>>,
    /// From when on it can no longer be downloaded.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the file was removed.
    pub removed_at: Option<DateTime<Utc>>,
    /// State of the job.
    pub state: JobState,
    /// Rows written so far, while the job runs.
    pub progress_current: i64,
    /// Rows to write.
    pub progress_total: i64,
}

impl Export {
    /// How far it has come at `now`.
    #[must_use]
    pub fn stage(&self, now: DateTime<Utc>) -> Stage {
        match self.state {
            JobState::Succeeded
                if self.removed_at.is_some() || self.expires_at.is_none_or(|at| at <= now) =>
            {
                Stage::Expired
            }
            JobState::Succeeded => Stage::Ready,
            JobState::Failed => Stage::Failed,
            JobState::Cancelled => Stage::Cancelled,
            JobState::Queued | JobState::Running => Stage::Underway(self.state),
        }
    }
}

const SELECT: &str = "
    SELECT e.id, e.user_id, e.everyone, e.format, e.file_name, e.row_count, e.byte_count, e.sha256, e.created_at, e.ready_at, e.expires_at,
        e.removed_at, j.state, j.progress_current, j.progress_total
    FROM exports e JOIN jobs j ON j.id = e.id";

/// An export that the caller may see: their own, or any for an administrator.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn find(app: &App, who: &Identity, id: Uuid) -> Result<Export> {
    let statement = sql(app.db.read(), &format!("{SELECT} WHERE e.id = $1"), [id.into()]);
    Export::find_by_statement(statement)
        .one(app.db.read())
        .await?
        .filter(|export| who.is_admin || export.user_id == who.user_id && !export.everyone)
        .ok_or(Error::NotFound("export"))
}

/// The exports of a user, or of all users, newest first.
pub async fn history(app: &App, user_id: Option<i64>, page: &Page<Uuid>) -> Result<Paged<Export>> {
    // UUIDv7: ids sort by creation time.
    let text = format!(
        "{SELECT} WHERE ($1 IS NULL OR e.user_id = $1) AND ($2 IS NULL OR e.id < $2) ORDER BY e.id DESC LIMIT $3"
    );
    let statement = sql(app.db.read(), &text, [user_id.into(), page.after.into(), page.fetch_limit().into()]);
    Ok(page.trim(Export::find_by_statement(statement).all(app.db.read()).await?))
}
