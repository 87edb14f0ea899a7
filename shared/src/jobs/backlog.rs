//! What the relay asks the ledger: jobs that wait for a worker, and jobs that kill theirs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::{
    Queue,
    policy::{MAX_CRASHES, POISON},
};
use crate::{
    base::error::Result,
    platform::db::{Db, at, sql},
};

/// Buries jobs whose workers vanished once too often. Returns their ids.
///
/// # Errors
/// Those of the database.
pub async fn bury_poison(db: &Db, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    ids(
        db.write(),
        "UPDATE jobs SET state = 'failed', finished_at = $1, lease_token = NULL, lease_until = NULL,
            error = $3
         WHERE state = 'running' AND lease_until < $1 AND crashes >= $2 RETURNING id",
        [at(now), (MAX_CRASHES - 1).into(), POISON.into()],
    )
    .await
}

/// A job that waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromQueryResult)]
pub struct Due {
    /// Which job.
    pub id: Uuid,
    /// How often it has been run.
    pub attempt: i64,
}

/// Jobs of a queue that wait to be run now: those whose worker has vanished, then those due for `head_start` or
/// longer, the oldest first.
///
/// # Errors
/// Those of the database.
pub async fn due(
    db: &Db,
    now: DateTime<Utc>,
    head_start: Duration,
    queue: Queue,
    limit: u64,
) -> Result<Vec<Due>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let abandoned = sql(
        db.read(),
        "SELECT id, attempt FROM jobs WHERE state = 'running' AND lease_until < $1 AND queue = $2 LIMIT $3",
        [at(now), queue.name().into(), limit.into()],
    );
    let waiting = sql(
        db.read(),
        "SELECT id, attempt FROM jobs WHERE state = 'queued' AND queue = $1 AND run_at <= $2
           AND NOT EXISTS (SELECT 1 FROM paused_queues p WHERE p.queue = $1)
         ORDER BY run_at LIMIT $3",
        [queue.name().into(), at(now - head_start), limit.into()],
    );
    let mut found = Due::find_by_statement(abandoned).all(db.read()).await?;
    found.extend(Due::find_by_statement(waiting).all(db.read()).await?);
    Ok(found)
}

/// What waits in a queue.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Waiting {
    /// Which queue.
    pub queue: String,
    /// How many jobs are due.
    pub jobs: i64,
    /// When the first of them became due.
    pub oldest: DateTime<Utc>,
}

/// Jobs that are due now, by queue; one where nothing waits is not listed.
///
/// # Errors
/// Those of the database.
pub async fn waiting(db: &Db, now: DateTime<Utc>) -> Result<Vec<Waiting>> {
    let text = "SELECT queue, COUNT(*) AS jobs, MIN(run_at) AS oldest FROM jobs
         WHERE state = 'queued' AND run_at <= $1 GROUP BY queue";
    Ok(Waiting::find_by_statement(sql(db.read(), text, [at(now)])).all(db.read()).await?)
}

async fn ids<const N: usize>(db: &impl ConnectionTrait, text: &str, values: [Value; N]) -> Result<Vec<Uuid>> {
    let rows = db.query_all_raw(sql(db, text, values)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}
