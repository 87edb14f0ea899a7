//! The live status of jobs: kept in Redis while it changes, read from the ledger when Redis has nothing.

use std::{collections::HashMap, fmt, str::FromStr, sync::LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use redis::{AsyncCommands, Script};
use serde_json::Value;
use uuid::Uuid;

use super::{ledger, policy::RENEW_EVERY};
use crate::{
    app::App,
    base::error::Result,
    platform::{entities::job, redis::Redis},
};

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
    /// When its latest run began, or else when it was asked for.
    pub since: DateTime<Utc>,
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

impl Status {
    /// Its place among the statuses of the job.
    #[must_use]
    pub fn version(&self) -> Version {
        let phase = match self.state {
            State::Pending => 2,
            State::Progress => 1,
            State::Success | State::Failure | State::Cancelled => 3,
        };
        Version { run: self.since.timestamp_micros(), phase, current: self.current, total: self.total }
    }
}

/// Of two statuses of a job, the one with the greater version is the later. It follows from what the status says, so it is
/// the same in every process, and whether Redis or the ledger said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// When the run began, or the job was asked for, in microseconds since 1970.
    pub run: i64,
    /// 0 before the run, 1 in it, 2 when the job waits (again), 3 when it has ended.
    pub phase: u8,
    /// How far the run is.
    pub current: i64,
    /// Of how much.
    pub total: i64,
}

impl Version {
    /// That of a job that is just about to begin this run.
    #[must_use]
    pub const fn before(self) -> Self {
        Self { phase: 0, current: 0, total: 0, ..self }
    }

    /// Whether it is one of a run that goes on.
    #[must_use]
    pub const fn is_in_a_run(self) -> bool {
        self.phase == 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.run, self.phase, self.current, self.total)
    }
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let parts: Result<Vec<i64>, _> = text.split('-').map(str::parse).collect();
        match parts.as_deref() {
            Ok(&[run, phase, current, total]) => {
                Ok(Self { run, phase: u8::try_from(phase).map_err(|_| NoVersion)?, current, total })
            }
            _ => Err(NoVersion),
        }
    }
}

const KEPT_SECONDS: i64 = 24 * 3600;

/// A running job's status is refreshed at least this often; an older one is not believed.
fn freshness() -> TimeDelta {
    TimeDelta::from_std(RENEW_EVERY * 2).unwrap_or_default()
}

/// Tells the job's owner where it stands. Best effort: the ledger has the truth. A job without an owner is followed by
/// nobody but administrators, who read the ledger.
pub async fn publish(app: &App, id: Uuid, status: &Status) {
    // An end was written into the ledger under the lease; progress may come from a worker that has lost it.
    write(app, id, status, !status.state.is_final()).await;
}

/// Writes and tells a status, unless it may be late and another run has begun, or this one ended.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local run = tonumber(ARGV[1])
         if run then
            local kept = redis.call('HMGET', KEYS[1], 'run', 'state')
            local other = tonumber(kept[1]) or 0
            local goes_on = kept[2] == 'PENDING' or kept[2] == 'PROGRESS'
            if other > run or (other == run and not goes_on) then return end
         end
         redis.call('HSET', KEYS[1], unpack(ARGV, 5))
         redis.call('EXPIRE', KEYS[1], ARGV[2])
         redis.call('PUBLISH', ARGV[3], ARGV[4])",
    )
});

async fn write(app: &App, id: Uuid, status: &Status, may_be_late: bool) {
    let Some(owner_id) = status.owner_id else { return };
    let run = status.since.timestamp_micros().to_string();
    let fields = [
        ("id", id.to_string()),
        ("kind", status.kind.clone()),
        ("owner", owner_id.to_string()),
        ("run", run.clone()),
        ("state", status.state.as_str().to_owned()),
        ("current", status.current.to_string()),
        ("total", status.total.to_string()),
        ("result", status.result.to_string()),
        ("error", status.error.clone().unwrap_or_default()),
        ("at", crate::base::time::rfc3339(app.clock.now())),
    ];
    let message: HashMap<_, _> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let keys = app.redis.keys();
    let mut publish = PUBLISH.key(keys.job(id));
    publish
        .arg(if may_be_late { run.as_str() } else { "" })
        .arg(KEPT_SECONDS)
        .arg(keys.status_channel())
        .arg(serde_json::to_string(&message).unwrap_or_default())
        .arg(&fields);
    let told: redis::RedisResult<()> =
        app.redis.queue.query(async |mut redis| publish.invoke_async(&mut redis).await).await;
    if let Err(error) = told {
        tracing::debug!(job.id = %id, %error, "status not published");
    }
}

/// Tells readers what the ledger says.
pub async fn publish_from_ledger(app: &App, id: Uuid) {
    match ledger::find(&app.db, id).await {
        Ok(Some(row)) => write(app, id, &of_row(&row), false).await,
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
    let forgotten: redis::RedisResult<()> =
        redis.queue.query(async |mut redis| redis.unlink(keys).await).await;
    if let Err(error) = forgotten {
        tracing::debug!(%error, "the status of jobs is out of date until they run");
    }
}

/// Where a job stands; `None` when there is no such job.
///
/// # Errors
/// Those of the database, when Redis cannot answer either.
pub async fn find(app: &App, id: Uuid) -> Result<Option<Status>> {
    let key = app.redis.keys().job(id);
    let kept = app.redis.queue.query(async |mut redis| redis.hgetall(key).await).await;
    let kept: HashMap<String, String> = kept.unwrap_or_default();
    if let Some(status) = read(&kept, app.clock.now()) {
        return Ok(Some(status));
    }
    Ok(ledger::find(&app.db, id).await?.as_ref().map(of_row))
}

/// Where jobs stand, as the ledger says.
///
/// # Errors
/// Those of the database.
pub async fn in_ledger(app: &App, ids: &[Uuid]) -> Result<Vec<(Uuid, Status)>> {
    Ok(ledger::find_all(&app.db, ids).await?.iter().map(|row| (row.id, of_row(row))).collect())
}

/// What was told on the channel: of which job, and where it stands.
pub(super) fn heard(message: &str) -> Option<(Uuid, Status)> {
    let told: HashMap<String, String> = serde_json::from_str(message).ok()?;
    Some((told.get("id")?.parse().ok()?, parse(&told)?))
}

/// The status in Redis, if it is final or fresh. One left behind by a Redis that was away is neither.
fn read(kept: &HashMap<String, String>, now: DateTime<Utc>) -> Option<Status> {
    let status = parse(kept)?;
    let published: DateTime<Utc> = kept.get("at")?.parse().ok()?;
    let is_believed = match status.state {
        State::Pending => false,
        State::Progress => now - published <= freshness(),
        State::Success | State::Failure | State::Cancelled => true,
    };
    is_believed.then_some(status)
}

fn parse(fields: &HashMap<String, String>) -> Option<Status> {
    Some(Status {
        kind: fields.get("kind")?.clone(),
        owner_id: fields.get("owner")?.parse().ok(),
        since: DateTime::from_timestamp_micros(fields.get("run")?.parse().ok()?)?,
        state: State::named(fields.get("state")?)?,
        current: fields.get("current")?.parse().ok()?,
        total: fields.get("total")?.parse().ok()?,
        result: serde_json::from_str(fields.get("result")?).ok()?,
        error: fields.get("error").filter(|text| !text.is_empty()).cloned(),
    })
}

/// The part of a recorded reason that its owner may read: our own words, without the causes behind an outage or a
/// defect.
#[must_use]
pub fn for_owner(reason: &str) -> &str {
    const GENERAL: [&str; 2] = ["internal error", "a required service is not available"];
    GENERAL.into_iter().find(|general| reason.starts_with(general)).unwrap_or(reason)
}

fn of_row(row: &job::Model) -> Status {
    let state = State::of(row);
    Status {
        kind: row.kind.clone(),
        owner_id: row.owner_id,
        since: row.started_at.unwrap_or(row.created_at),
        state,
        current: if state == State::Progress { row.progress_current } else { 0 },
        total: if state == State::Progress { row.progress_total } else { 0 },
        result: row.result.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        error: row.error.as_deref().filter(|_| state == State::Failure).map(for_owner).map(ToOwned::to_owned),
    }
}
