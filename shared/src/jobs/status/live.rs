//! The live status of a job: what it says, how it is published in Redis, and where it is read.

use std::{collections::HashMap, sync::LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use redis::{AsyncCommands, RedisResult, Script};
use serde_json::Value;
use uuid::Uuid;

use super::version::Version;
use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    jobs::{
        ledger::{self, Claim, row},
        outcome::Outcome,
        policy::RENEW_INTERVAL,
        state::JobState,
    },
    platform::{db::Db, redis::Redis},
};

/// The status of a job, as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The kind of the job.
    pub kind: String,
    /// The user who requested it.
    pub owner_id: Option<i64>,
    /// When its latest run began, or else when it was created.
    pub since: DateTime<Utc>,
    /// Its state.
    pub state: JobState,
    /// The progress of the current run.
    pub current: i64,
    /// What `current` is when the work is done.
    pub total: i64,
    /// The result of a success.
    pub result: Value,
    /// Why it failed, for its owner.
    pub error: Option<String>,
}

impl Status {
    /// A job that is running.
    #[must_use]
    pub fn running(claim: &Claim, (current, total): (i64, i64)) -> Self {
        Self {
            kind: claim.kind.clone(),
            owner_id: claim.owner_id,
            since: claim.started_at,
            state: JobState::Running,
            current,
            total,
            result: Value::Null,
            error: None,
        }
    }

    /// A job after a run. `None` if the run has lost its lease.
    #[must_use]
    pub fn after(claim: &Claim, outcome: &Outcome) -> Option<Self> {
        let (result, error) = match outcome {
            Outcome::Succeeded(done) => (done.result.clone(), None),
            Outcome::Failed(error) => (Value::Null, Some(error_for_owner(error).to_owned())),
            _ => (Value::Null, None),
        };
        Some(Self { state: outcome.state()?, result, error, ..Self::running(claim, (0, 0)) })
    }

    fn of_row(row: &row::Model) -> Self {
        let is_running = row.state == JobState::Running;
        let error = row.error.as_deref().filter(|_| row.state == JobState::Failed);
        Self {
            kind: row.kind.clone(),
            owner_id: row.owner_id,
            since: row.started_at.unwrap_or(row.created_at),
            state: row.state,
            current: if is_running { row.progress_current } else { 0 },
            total: if is_running { row.progress_total } else { 0 },
            result: row
                .result
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            error: error.map(|error| error_for_owner(error).to_owned()),
        }
    }

    /// Its place in the order of the job's statuses.
    #[must_use]
    pub fn version(&self) -> Version {
        let phase = match self.state {
            JobState::Running => 1,
            JobState::Queued => 2,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => 3,
        };
        Version { run: self.since.timestamp_micros(), phase, current: self.current, total: self.total }
    }
}

/// The part of a recorded error that the owner may read: our own words, without the causes of an outage or a defect.
#[must_use]
pub fn error_for_owner(error: &str) -> &str {
    // The last one is in rows that an earlier version wrote.
    const GENERAL: [&str; 3] = [
        "internal error",
        "a required service is not available",
        "a service that is needed is not available",
    ];
    GENERAL.into_iter().find(|general| error.starts_with(general)).unwrap_or(error)
}

/// How long Redis keeps a status.
const KEPT_SECONDS: i64 = 24 * 3600;

/// The status of a running job is published at least every [`RENEW_INTERVAL`]; one older than this is ignored.
fn max_age() -> TimeDelta {
    TimeDelta::from_std(RENEW_INTERVAL * 2).unwrap_or_default()
}

/// Stores a status in Redis and publishes it. Best effort: the ledger has the truth. The status of a job without an
/// owner is not published: only administrators follow such jobs, and they read the ledger.
pub async fn publish(app: &App, id: Uuid, status: &Status) {
    // A final status was recorded under the lease. Progress may come from a worker that has lost it.
    write(app, id, status, !status.state.is_final()).await;
}

/// As [`publish`] for the end of a short run: tells those who follow the job, and leaves others to the ledger.
pub async fn notify(app: &App, id: Uuid, status: &Status) {
    let Some(owner_id) = status.owner_id else { return };
    let (keys, message) = (app.redis.keys(), message(&fields(app, id, status, owner_id)));
    let mut pipe = redis::pipe();
    pipe.unlink(keys.job(id)).ignore().publish(keys.status_channel(), message).ignore();
    let sent: RedisResult<()> =
        app.redis.queue.query(async |mut redis| pipe.exec_async(&mut redis).await).await;
    if let Err(error) = sent {
        tracing::debug!(job.id = %id, %error, "status not published");
    }
}

/// Publishes the status of a job from the ledger.
pub async fn publish_from_ledger(app: &App, id: Uuid) {
    match ledger::find(&app.db, id).await {
        Ok(Some(row)) => write(app, id, &Status::of_row(&row), false).await,
        Ok(None) => {}
        Err(error) => tracing::debug!(job.id = %id, error = error.chain(), "status not published"),
    }
}

/// Stores and publishes a status. If `ARGV[1]` is the start of a run, only unless a later run has begun or this one has
/// ended.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local run = tonumber(ARGV[1])
         if run then
            local stored = redis.call('HMGET', KEYS[1], 'run', 'state')
            local other = tonumber(stored[1]) or 0
            local is_live = stored[2] == 'queued' or stored[2] == 'running'
            if other > run or (other == run and not is_live) then return end
         end
         redis.call('HSET', KEYS[1], unpack(ARGV, 5))
         redis.call('EXPIRE', KEYS[1], ARGV[2])
         redis.call('PUBLISH', ARGV[3], ARGV[4])",
    )
});

async fn write(app: &App, id: Uuid, status: &Status, may_be_late: bool) {
    let Some(owner_id) = status.owner_id else { return };
    let fields = fields(app, id, status, owner_id);
    let run = status.since.timestamp_micros().to_string();
    let keys = app.redis.keys();
    let mut publish = PUBLISH.key(keys.job(id));
    publish
        .arg(if may_be_late { run.as_str() } else { "" })
        .arg(KEPT_SECONDS)
        .arg(keys.status_channel())
        .arg(message(&fields))
        .arg(&fields);
    let published: RedisResult<()> =
        app.redis.queue.query(async |mut redis| publish.invoke_async(&mut redis).await).await;
    if let Err(error) = published {
        tracing::debug!(job.id = %id, %error, "status not published");
    }
}

type Fields = [(&'static str, String); 10];

fn fields(app: &App, id: Uuid, status: &Status, owner_id: i64) -> Fields {
    [
        ("id", id.to_string()),
        ("kind", status.kind.clone()),
        ("owner", owner_id.to_string()),
        ("run", status.since.timestamp_micros().to_string()),
        ("state", status.state.to_string()),
        ("current", status.current.to_string()),
        ("total", status.total.to_string()),
        ("result", status.result.to_string()),
        ("error", status.error.clone().unwrap_or_default()),
        ("at", rfc3339(app.clock.now())),
    ]
}

fn message(fields: &Fields) -> String {
    let message: HashMap<_, _> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    serde_json::to_string(&message).unwrap_or_default()
}

/// Deletes the statuses of jobs from Redis, so that readers use the ledger.
pub async fn delete(redis: &Redis, ids: impl Iterator<Item = Uuid>) {
    let keys: Vec<String> = ids.map(|id| redis.keys().job(id)).collect();
    if keys.is_empty() {
        return;
    }
    let deleted: RedisResult<()> = redis.queue.query(async |mut redis| redis.unlink(keys).await).await;
    if let Err(error) = deleted {
        tracing::debug!(%error, "the status of jobs is out of date until they run");
    }
}

/// The status of a job; `None` if there is no such job. Fails only if neither Redis nor the database responds.
pub async fn find(app: &App, id: Uuid) -> Result<Option<Status>> {
    let key = app.redis.keys().job(id);
    let fields = app.redis.queue.query(async |mut redis| redis.hgetall(key).await).await.unwrap_or_default();
    if let Some(status) = parse_current(&fields, app.clock.now()) {
        return Ok(Some(status));
    }
    Ok(ledger::find(&app.db, id).await?.as_ref().map(Status::of_row))
}

/// The statuses of several jobs, from the ledger.
pub async fn find_in_ledger(db: &Db, ids: &[Uuid]) -> Result<Vec<(Uuid, Status)>> {
    Ok(ledger::find_all(db, ids).await?.iter().map(|row| (row.id, Status::of_row(row))).collect())
}

/// Reads a message of the status channel.
#[must_use]
pub fn parse_message(message: &str) -> Option<(Uuid, Status)> {
    let fields: HashMap<String, String> = serde_json::from_str(message).ok()?;
    Some((fields.get("id")?.parse().ok()?, parse(&fields)?))
}

/// The status stored in Redis if it is final or recent: an older one may be left over from an outage of Redis.
fn parse_current(fields: &HashMap<String, String>, now: DateTime<Utc>) -> Option<Status> {
    let status = parse(fields)?;
    let published: DateTime<Utc> = fields.get("at")?.parse().ok()?;
    let is_current = match status.state {
        JobState::Queued => false,
        JobState::Running => now - published <= max_age(),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => true,
    };
    is_current.then_some(status)
}

fn parse(fields: &HashMap<String, String>) -> Option<Status> {
    Some(Status {
        kind: fields.get("kind")?.clone(),
        owner_id: fields.get("owner")?.parse().ok(),
        since: DateTime::from_timestamp_micros(fields.get("run")?.parse().ok()?)?,
        state: fields.get("state")?.parse().ok()?,
        current: fields.get("current")?.parse().ok()?,
        total: fields.get("total")?.parse().ok()?,
        result: serde_json::from_str(fields.get("result")?).ok()?,
        error: fields.get("error").filter(|text| !text.is_empty()).cloned(),
    })
}
