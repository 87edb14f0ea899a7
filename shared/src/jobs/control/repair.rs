//! Repairs what a process with a clock in the future has written.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde::Serialize;

use crate::{
    app::App,
    base::error::Result,
    jobs::change::Change,
    platform::db::{at, sql},
};

/// A lease and the time of a tick are never further in the future.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

const SCHEDULES: &str = "UPDATE schedules SET
        settled_until = CASE WHEN settled_until > $1 THEN $2 ELSE settled_until END,
        last_run_at = CASE WHEN last_run_at > $1 THEN $2 ELSE last_run_at END
    WHERE settled_until > $1 OR last_run_at > $1";

/// How many rows were repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Schedules that would have waited.
    pub schedules: u64,
    /// Ticks that would not have got a job.
    pub ticks: u64,
    /// Kinds of alerts that would not have been raised.
    pub alerts: u64,
    /// Jobs of vanished workers that nobody would have taken over.
    pub leases: u64,
}

/// Sets times that lie in the future back to now. Refuses to if this machine's clock is the wrong one.
///
/// # Errors
/// [`crate::Error::Unavailable`] in that case.
pub async fn repair_times(app: &App) -> Result<Repaired> {
    app.require_right_clock().await?;
    let now = app.clock.now();
    let change = Change::begin(app).await?;
    let tx = change.tx();
    let (now, limit) = (at(now), at(now + TOLERANCE));
    let run = async |text: &str| {
        let values = if text.contains("$2") { vec![limit.clone(), now.clone()] } else { vec![limit.clone()] };
        tx.execute_raw(sql(tx, text, values)).await.map(|done| done.rows_affected())
    };
    let repaired = Repaired {
        schedules: run(SCHEDULES).await?,
        ticks: run("DELETE FROM cron_ticks WHERE tick > $1").await?,
        alerts: run("UPDATE alerts SET last_at = $2 WHERE last_at > $1").await?,
        leases: run("UPDATE jobs SET lease_until = $2 WHERE state = 'running' AND lease_until > $1").await?,
    };
    change.commit().await?;
    tracing::info!(?repaired, "times in the future repaired");
    Ok(repaired)
}
