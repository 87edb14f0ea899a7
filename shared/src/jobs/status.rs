//! The live status of jobs: kept in Redis while it changes, read from the ledger when Redis has nothing.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use redis::AsyncCommands;
use serde_json::Value;
use uuid::Uuid;

use super::{ledger, policy::RENEW_EVERY};
use crate::{app::App, entities::job, error::Result, redis::Redis};

/// Where a job stands, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a worker.
    Pending,
    /// A worker is at it.
    Progress,
    /// Done.
    Success,
    /// Given up.
    Failure,
    /// Stopped at its owner's wish.
    Cancelled,
}

impl State {
    /// As sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Progress => "PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of a ledger row.
    #[must_use]
    pub fn of(row: &job::Model) -> Self {
        match row.state.as_str() {
            "running" => Self::Progress,
            "succeeded" => Self::Success,
            "failed" => Self::Failure,
            "cancelled" => Self::Cancelled,
            _ => Self::Pending,
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Pending, Self::Progress, Self::Success, Self::Failure, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled)
    }
}

/// What a reader is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What kind of job.
    pub kind: String,
    /// Whose.
    pub owner_id: Option<i64>,
    /// Where it stands.
    pub state: State,
    /// How far it is.
    pub current: i64,
    /// Of how much.
    pub total: i64,
    /// What came of it, once done.
    pub result: Value,
    /// Why it failed, in words for its owner.
    pub error: Option<String>,
}

const KEPT_SECONDS: i64 = 24 * 3600;

/// A running job's status is refreshed at least this often; an older one is not believed.
fn freshness() -> TimeDelta {
    TimeDelta::from_std(RENEW_EVERY * 2).unwrap_or_default()
}

/// Tells the job's owner where it stands. Best effort: the ledger has the truth. A job without an owner is followed by
/// nobody but administrators, who read the ledger.
pub async fn publish(app: &App, id: Uuid, status: &Status) {
    if status.owner_id.is_none() {
        return;
    }
    let key = app.redis.keys().job(id);
    let fields = [
        ("kind", status.kind.clone()),
        ("owner", status.owner_id.map(|id| id.to_string()).unwrap_or_default()),
        ("state", status.state.as_str().to_owned()),
        ("current", status.current.to_string()),
        ("total", status.total.to_string()),
        ("result", status.result.to_string()),
        ("error", status.error.clone().unwrap_or_default()),
        ("at", crate::time::rfc3339(app.clock.now())),
    ];
    let told = redis::pipe()
        .hset_multiple(&key, &fields)
        .ignore()
        .expire(&key, KEPT_SECONDS)
        .ignore()
        .publish(app.redis.keys().status_channel(), id.to_string())
        .ignore()
        .query_async::<()>(&mut app.redis.queue.clone())
        .await;
    if let Err(error) = told {
        tracing::debug!(job.id = %id, %error, "status not published");
    }
}

/// Tells readers what the ledger says.
pub async fn publish_from_ledger(app: &App, id: Uuid) {
    match ledger::find(&app.db, id).await {
        Ok(Some(row)) => publish(app, id, &of_row(&row)).await,
        Ok(None) => {}
        Err(error) => tracing::debug!(job.id = %id, error = error.chain(), "status not published"),
    }
}

/// Lets readers ask the ledger: what Redis says about these jobs is not so any more.
pub(super) async fn forget(redis: &Redis, ids: impl Iterator<Item = Uuid>) {
    let keys: Vec<String> = ids.map(|id| redis.keys().job(id)).collect();
    if keys.is_empty() {
        return;
    }
    let forgotten: redis::RedisResult<()> = redis.queue.clone().unlink(keys).await;
    if let Err(error) = forgotten {
        tracing::debug!(%error, "the status of jobs is out of date until they run");
    }
}

/// Where a job stands; `None` when there is no such job.
///
/// # Errors
/// Those of the database, when Redis cannot answer either.
pub async fn find(app: &App, id: Uuid) -> Result<Option<Status>> {
    let kept: HashMap<String, String> =
        app.redis.queue.clone().hgetall(app.redis.keys().job(id)).await.unwrap_or_default();
    if let Some(status) = read(&kept, app.clock.now()) {
        return Ok(Some(status));
    }
    Ok(ledger::find(&app.db, id).await?.as_ref().map(of_row))
}

/// The status in Redis, if it is final or fresh. One left behind by a Redis that was away is neither.
fn read(kept: &HashMap<String, String>, now: DateTime<Utc>) -> Option<Status> {
    let state = State::named(kept.get("state")?)?;
    let published: DateTime<Utc> = kept.get("at")?.parse().ok()?;
    if state == State::Pending || (!state.is_final() && now - published > freshness()) {
        return None;
    }
    Some(Status {
        kind: kept.get("kind")?.clone(),
        owner_id: kept.get("owner")?.parse().ok(),
        state,
        current: kept.get("current")?.parse().ok()?,
        total: kept.get("total")?.parse().ok()?,
        result: serde_json::from_str(kept.get("result")?).ok()?,
        error: kept.get("error").filter(|text| !text.is_empty()).cloned(),
    })
}

/// The part of a recorded reason that its owner may read: our own words, without the causes behind an outage or a
/// defect.
#[must_use]
pub fn for_owner(reason: &str) -> &str {
    const GENERAL: [&str; 2] = ["internal error", "a service that is needed is not available"];
    GENERAL.into_iter().find(|general| reason.starts_with(general)).unwrap_or(reason)
}

fn of_row(row: &job::Model) -> Status {
    let state = State::of(row);
    Status {
        kind: row.kind.clone(),
        owner_id: row.owner_id,
        state,
        current: row.progress_current,
        total: row.progress_total,
        result: row.result.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        error: row.error.as_deref().filter(|_| state == State::Failure).map(for_owner).map(ToOwned::to_owned),
    }
}
