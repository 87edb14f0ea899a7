//! What the relay reads from the ledger: jobs to run now, and jobs that kill their workers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use crate::{
    base::error::Result,
    jobs::policy::{MAX_CRASHES, POISON},
    platform::{
        db::{Db, at, sql},
        queue::Queue,
    },
};

/// A job to run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromQueryResult)]
pub struct DueJob {
    /// The id of the job.
    pub id: Uuid,
    /// How many times it has been run.
    pub attempt: i64,
}

/// Jobs of a queue to run now: first those whose worker has vanished, then those due for `head_start` or longer, the
/// oldest first. At most `limit` of each.
pub async fn due(
    db: &Db,
    now: DateTime<Utc>,
    head_start: Duration,
    queue: Queue,
    limit: u64,
) -> Result<Vec<DueJob>> {
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
    let mut found = DueJob::find_by_statement(abandoned).all(db.read()).await?;
    found.extend(DueJob::find_by_statement(waiting).all(db.read()).await?);
    Ok(found)
}

/// Fails the jobs whose workers have vanished too often. Returns their ids.
pub async fn fail_poison(db: &Db, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let db = db.write();
    let text = "UPDATE jobs SET state = 'failed', finished_at = $1, lease_token = NULL, lease_until = NULL, error = $3
        WHERE state = 'running' AND lease_until < $1 AND crashes >= $2 RETURNING id";
    let values = [at(now), (MAX_CRASHES - 1).into(), POISON.into()];
    let rows = db.query_all_raw(sql(db, text, values)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
}
