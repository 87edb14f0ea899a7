//! Cancelling exports: one at its owner's request, or all of a user who is deleted.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    export::{Stage, find},
    job::WriteExport,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::{self, Job, ledger},
    platform::db::{Transaction, at, sql},
};

/// Cancels an export. A queued job ends at once, a running one within moments.
///
/// # Errors
/// [`Error::NotFound`] as for [`find`]; [`Error::Conflict`] if the export has already finished or failed.
pub async fn cancel(app: &App, who: &Identity, id: Uuid) -> Result<()> {
    let export = find(app, who, id).await?;
    let is_cancelled = export.stage(app.clock.now()) == Stage::Cancelled;
    if is_cancelled || jobs::cancel(app, id).await? {
        Ok(())
    } else {
        Err(Error::conflict("export_ended", "the export has already ended"))
    }
}

/// Cancels the unfinished exports of a user and expires the files of the others, in the caller's transaction.
pub async fn withdraw_all(tx: &Transaction, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    ledger::cancel_all(tx, now, user_id, WriteExport::NAME).await?;
    let text = "UPDATE exports SET expires_at = $2 WHERE user_id = $1 AND expires_at > $2";
    tx.execute_raw(sql(tx, text, [user_id.into(), at(now)])).await?;
    Ok(())
}
