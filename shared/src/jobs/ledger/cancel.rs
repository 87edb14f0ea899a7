//! Cancellation in the ledger: a waiting job ends at once, a running one is flagged.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    base::error::Result,
    platform::db::{at, sql},
};

const CANCEL: &str = "UPDATE jobs SET
        cancel_requested = TRUE,
        finished_at = CASE WHEN state = 'queued' THEN $1 ELSE finished_at END,
        state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END
    WHERE state IN ('queued', 'running')";

/// Cancels a job. `false` if there is none that waits or runs.
pub async fn cancel(db: &impl ConnectionTrait, now: DateTime<Utc>, id: Uuid) -> Result<bool> {
    let text = format!("{CANCEL} AND id = $2");
    Ok(db.execute_raw(sql(db, &text, [at(now), id.into()])).await?.rows_affected() > 0)
}

/// Cancels all jobs of one kind that a user has requested, in the caller's transaction.
pub async fn cancel_all(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    owner_id: i64,
    kind: &str,
) -> Result<()> {
    let text = format!("{CANCEL} AND owner_id = $2 AND kind = $3");
    db.execute_raw(sql(db, &text, [at(now), owner_id.into(), kind.into()])).await?;
    Ok(())
}
