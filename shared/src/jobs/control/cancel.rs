//! Cancelling a job, for its owner or an operator.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::{change::Change, ledger, state::JobState, status, transport::signals},
    platform::audit::{self, Action, Actor, Object},
};

/// Cancels a job: a waiting one ends at once, a running one within a moment. `false` if it does not exist or has ended
/// in another way.
pub async fn cancel(app: &App, id: Uuid) -> Result<bool> {
    ledger::cancel(app.db.write(), app.clock.now(), id).await?;
    publish(app, id).await
}

/// [`cancel`] for an operator.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] if it has ended.
pub async fn cancel_as_operator(app: &App, by: &Actor, id: Uuid) -> Result<()> {
    let (change, now) = (Change::begin(app).await?, app.clock.now());
    if ledger::cancel(change.tx(), now, id).await? {
        let details = json!({ "job": id });
        audit::record(change.tx(), now, by, Action::JobCancelled, Object::Jobs, &details).await?;
    }
    change.commit().await?;
    if publish(app, id).await? {
        tracing::info!(by.id = by.user_id, job.id = %id, "job cancelled");
        return Ok(());
    }
    Err(match ledger::find(&app.db, id).await? {
        None => Error::NotFound("job"),
        Some(_) => Error::conflict("job_ended", "the job has ended already"),
    })
}

/// Tells workers and clients. `false` if the job is not cancelled.
async fn publish(app: &App, id: Uuid) -> Result<bool> {
    match ledger::find(&app.db, id).await?.map(|row| row.state) {
        Some(JobState::Running) => signals::send_cancel(&app.redis, id).await,
        Some(JobState::Cancelled) => status::publish_from_ledger(app, id).await,
        _ => return Ok(false),
    }
    Ok(true)
}
