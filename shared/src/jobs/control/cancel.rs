//! Cancelling a job, for its owner or an operator.

use uuid::Uuid;

use super::operator::Operator;
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::{ledger, state::JobState, status, transport::signals},
};

/// Cancels a job: a waiting one ends at once, a running one within a moment. `false` if it does not exist or has ended
/// in another way.
pub async fn cancel(app: &App, id: Uuid) -> Result<bool> {
    let row = ledger::cancel(&app.db, app.clock.now(), id).await?;
    match row.map(|row| row.state) {
        Some(JobState::Running) => signals::send_cancel(&app.redis, id).await,
        Some(JobState::Cancelled) => status::publish_from_ledger(app, id).await,
        _ => return Ok(false),
    }
    Ok(true)
}

/// [`cancel`] for an operator.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] if it has ended.
pub async fn cancel_as_operator(app: &App, operator: Operator, id: Uuid) -> Result<()> {
    if cancel(app, id).await? {
        tracing::info!(by.id = operator, job.id = %id, "job cancelled");
        return Ok(());
    }
    Err(match ledger::find(&app.db, id).await? {
        None => Error::NotFound("job"),
        Some(_) => Error::conflict("job_ended", "the job has ended already"),
    })
}
