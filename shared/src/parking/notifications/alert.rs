//! Alerts: what administrators should see to. At most one an hour of each kind, whatever number of workers finds it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Notice, tell_administrators};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Enqueued, ledger, queue, status},
    platform::db::{at, sql},
};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// A job went to the dead set.
    DeadJob,
    /// A disk is nearly full.
    DiskFull,
    /// A worker does not reach Redis.
    RedisLost,
    /// It reaches it again.
    RedisBack,
    /// The mail server will take no mail until something is set right.
    MailServer,
}

/// Alerts of a kind are so far apart.
const PAUSE: TimeDelta = TimeDelta::hours(1);

/// Workers that find the same thing do so within this time, and count as one.
const TOGETHER: TimeDelta = TimeDelta::minutes(1);

/// A job that ends while this looks may be seen only a moment later, so the last moments are left to the next look.
const SETTLED: TimeDelta = TimeDelta::seconds(3);

/// The keys of alerts begin so, which tells them from other notices.
const KEY: &str = "alert:";

impl Alert {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeadJob => "dead-job",
            Self::DiskFull => "disk-full",
            Self::RedisLost => "redis-lost",
            Self::RedisBack => "redis-back",
            Self::MailServer => "mail-server",
        }
    }
}

/// Whether a message with this key is itself an alert, about which none is raised.
pub(super) fn is_about(key: &str) -> bool {
    key.split_once(':').is_some_and(|(_, rest)| rest.starts_with(KEY))
}

/// When the last alert of this kind was sent, if the next one may be sent now: long ago if there was none.
///
/// # Errors
/// Those of the database.
pub async fn due(app: &App, alert: Alert) -> Result<Option<DateTime<Utc>>> {
    let (db, now) = (app.db.read(), app.clock.now());
    let text = "SELECT last_at FROM alerts WHERE kind = $1";
    let row = db.query_one_raw(sql(db, text, [alert.name().into()])).await?;
    let last: DateTime<Utc> = match row {
        Some(row) => row.try_get("", "last_at")?,
        None => DateTime::UNIX_EPOCH,
    };
    Ok(Some(last).filter(|last| *last <= now - PAUSE))
}

/// Tells administrators, unless they were told of another one less than an hour ago; then it is counted, and the next
/// alert says so. Returns the jobs that tell them.
///
/// # Errors
/// Those of the database.
pub async fn raise(
    app: &App,
    alert: Alert,
    title: &str,
    mut facts: Vec<(String, String)>,
) -> Result<Vec<Enqueued>> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let Some(suppressed) = take_turn(&tx, now, alert).await? else {
        tx.commit().await?;
        return Ok(Vec::new());
    };
    tracing::error!(alert.kind = alert.name(), "{title}");
    if suppressed > 0 {
        facts.push(("Alerts held back since the last one".to_owned(), suppressed.to_string()));
    }
    let key = format!("{KEY}{}:{}", alert.name(), now.timestamp());
    let notice = Notice { key, title: title.to_owned(), facts };
    let mut told = Vec::new();
    for job in tell_administrators(&app.config, &tx, &notice).await? {
        told.push(ledger::insert(&tx, now, &job).await?);
    }
    tx.commit().await?;
    queue::announce_soon(app, told.clone());
    Ok(told)
}

/// One of many who come at once has the turn, and is told how many had none since the last one who had it.
async fn take_turn(tx: &impl ConnectionTrait, now: DateTime<Utc>, alert: Alert) -> Result<Option<i64>> {
    let turn = tx
        .query_one_raw(sql(
            tx,
            "INSERT INTO alerts (kind, last_at) VALUES ($1, $2)
             ON CONFLICT (kind) DO UPDATE SET last_at = $2, told = alerts.suppressed, suppressed = 0
             WHERE alerts.last_at <= $3 RETURNING told",
            [alert.name().into(), at(now), at(now - PAUSE)],
        ))
        .await?;
    if let Some(row) = turn {
        return Ok(Some(row.try_get("", "told")?));
    }
    let text = "UPDATE alerts SET suppressed = suppressed + 1 WHERE kind = $1 AND last_at < $2";
    tx.execute_raw(sql(tx, text, [alert.name().into(), at(now - TOGETHER)])).await?;
    Ok(None)
}

#[derive(FromQueryResult)]
struct Dead {
    id: uuid::Uuid,
    kind: String,
    error: Option<String>,
    many: i64,
}

/// The newest of the jobs that died in a span of time, and how many there are. Those that should have told of an alert do
/// not count.
const DEAD: &str = "SELECT id, kind, error, (SELECT COUNT(*) FROM jobs d WHERE d.state = 'failed'
            AND d.finished_at >= $1 AND d.finished_at < $2 AND COALESCE(d.unique_key, '') NOT LIKE 'alert:%') AS many
    FROM jobs WHERE state = 'failed' AND finished_at >= $1 AND finished_at < $2
        AND COALESCE(unique_key, '') NOT LIKE 'alert:%'
    ORDER BY finished_at DESC LIMIT 1";

/// Raises an alert when jobs have died since the last one.
///
/// # Errors
/// Those of the database.
pub async fn of_dead_jobs(app: &App) -> Result<()> {
    let Some(last) = due(app, Alert::DeadJob).await? else { return Ok(()) };
    let (db, span) = (app.db.read(), [last - SETTLED, app.clock.now() - SETTLED]);
    let dead = Dead::find_by_statement(sql(db, DEAD, span.map(at))).one(db).await?;
    let Some(dead) = dead else { return Ok(()) };
    let reason = dead.error.as_deref().map_or("unknown", status::for_owner);
    let fact = |label: &str, value: String| (label.to_owned(), value);
    let facts = vec![
        fact("Job", dead.kind.clone()),
        fact("Id", dead.id.to_string()),
        fact("Reason", reason.to_owned()),
        fact("Dead since the last alert", dead.many.to_string()),
    ];
    raise(app, Alert::DeadJob, &format!("A job has failed for good: {}", dead.kind), facts).await?;
    Ok(())
}

/// Raises an alert when the mail server refuses to serve us. Best effort: the mail is tried again in any case.
pub(super) async fn mail_server_refuses(app: &App, why: &str) {
    let facts = vec![("Reason".to_owned(), why.to_owned())];
    if let Err(error) = raise(app, Alert::MailServer, "The mail server takes no mail from us", facts).await {
        tracing::warn!(error = error.chain(), "no alert about the mail server");
    }
}

#[cfg(test)]
mod tests {
    use super::is_about;

    #[test]
    fn alerts_are_recognised_by_their_key() {
        for key in ["notice:alert:dead-job:1795251600:1", "chat:alert:disk-full:1795251600"] {
            assert!(is_about(key), "{key}");
        }
        for key in ["notice:reminders:2026-11-24:1", "receipt:17", "chat:cleanup:alert:x", "alert", ""] {
            assert!(!is_about(key), "{key}");
        }
    }
}
