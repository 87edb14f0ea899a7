//! Alerts: problems that administrators should solve. At most one an hour of each kind, however many workers find it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::notice::{Notice, notify_administrators};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Change, status},
    platform::db::{at, sql},
};

/// The kinds of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// A job failed permanently.
    DeadJob,
    /// A disk is nearly full.
    DiskFull,
    /// A worker cannot reach Redis.
    RedisLost,
    /// It can reach Redis again.
    RedisBack,
    /// The mail server rejects all mail, because of its or our settings.
    MailServer,
    /// The clock of a worker is wrong.
    WrongClock,
    /// A reservation cannot leave a spot that is being retired.
    StuckWindow,
    /// A driver came in time for a reservation and found every spot occupied.
    TurnedAway,
}

/// Minimum time between two alerts of a kind.
const INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Workers that find the same problem within this time count as one.
const SIMULTANEOUS: TimeDelta = TimeDelta::minutes(1);

/// The end of a job may become visible late, so a check leaves the last moments to the next one.
const LATE_COMMITS: TimeDelta = TimeDelta::seconds(3);

/// Prefix of the keys of alerts among all notices.
const KEY_PREFIX: &str = "alert:";

impl Alert {
    /// The name stored in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeadJob => "dead-job",
            Self::DiskFull => "disk-full",
            Self::RedisLost => "redis-lost",
            Self::RedisBack => "redis-back",
            Self::MailServer => "mail-server",
            Self::WrongClock => "wrong-clock",
            Self::StuckWindow => "stuck-window",
            Self::TurnedAway => "turned-away",
        }
    }
}

/// Whether the notice with this key is about an outage of the mail server and so old that a later one replaces it: while
/// the server is away, none of them can be mailed.
pub(super) fn is_outdated(key: &str, now: DateTime<Utc>) -> bool {
    let raised = key.strip_prefix(KEY_PREFIX).and_then(|rest| rest.strip_prefix(Alert::MailServer.name()));
    let seconds = raised.and_then(|rest| rest.strip_prefix(':')?.parse::<i64>().ok());
    seconds.is_some_and(|seconds| now.timestamp() - seconds >= INTERVAL.num_seconds())
}

/// If an alert of this kind may be sent now, when the last one was sent; 1970 if there was none.
pub async fn due(app: &App, alert: Alert) -> Result<Option<DateTime<Utc>>> {
    let (db, now) = (app.db.read(), app.clock.now());
    let text = "SELECT last_at FROM alerts WHERE kind = $1";
    let row = db.query_one_raw(sql(db, text, [alert.name().into()])).await?;
    let last: DateTime<Utc> = match row {
        Some(row) => row.try_get("", "last_at")?,
        None => DateTime::UNIX_EPOCH,
    };
    Ok(Some(last).filter(|last| *last <= now - INTERVAL))
}

/// Alerts administrators, unless the last alert of this kind is less than an hour old; then it is only counted, and the
/// next alert says so. Returns the ids of the jobs that send the alert.
pub async fn raise(
    app: &App,
    alert: Alert,
    title: &str,
    mut facts: Vec<(String, String)>,
) -> Result<Vec<Uuid>> {
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    let Some(suppressed) = begin_or_suppress(change.tx(), now, alert).await? else {
        change.commit().await?;
        return Ok(Vec::new());
    };
    tracing::error!(alert.kind = alert.name(), "{title}");
    if suppressed > 0 {
        facts.push(("Alerts suppressed since the last one".to_owned(), suppressed.to_string()));
    }
    let key = format!("{KEY_PREFIX}{}:{}", alert.name(), now.timestamp());
    let notice = Notice { key, title: title.to_owned(), facts };
    let mut jobs = Vec::new();
    for job in notify_administrators(&app.config, change.tx(), &notice).await? {
        jobs.push(change.enqueue(&job).await?);
    }
    change.commit().await?;
    Ok(jobs)
}

/// Begins an alert and returns how many were suppressed since the last one, or counts this one as suppressed. Of several
/// concurrent callers, one begins.
async fn begin_or_suppress(
    tx: &impl ConnectionTrait,
    now: DateTime<Utc>,
    alert: Alert,
) -> Result<Option<i64>> {
    // RETURNING sees new values only, so the number to report is kept in `told`.
    let begun = tx
        .query_one_raw(sql(
            tx,
            "INSERT INTO alerts (kind, last_at) VALUES ($1, $2)
             ON CONFLICT (kind) DO UPDATE SET last_at = $2, told = alerts.suppressed, suppressed = 0
             WHERE alerts.last_at <= $3 RETURNING told",
            [alert.name().into(), at(now), at(now - INTERVAL)],
        ))
        .await?;
    if let Some(row) = begun {
        return Ok(Some(row.try_get("", "told")?));
    }
    let text = "UPDATE alerts SET suppressed = suppressed + 1 WHERE kind = $1 AND last_at < $2";
    tx.execute_raw(sql(tx, text, [alert.name().into(), at(now - SIMULTANEOUS)])).await?;
    Ok(None)
}

#[derive(FromQueryResult)]
struct Failed {
    id: Uuid,
    kind: String,
    error: Option<String>,
    many: i64,
}

/// The newest job that failed in a span of time, and how many did. Jobs that send alerts do not count.
const FAILED: &str = "SELECT id, kind, error, (SELECT COUNT(*) FROM jobs d WHERE d.state = 'failed'
            AND d.finished_at >= $1 AND d.finished_at < $2 AND COALESCE(d.unique_key, '') NOT LIKE 'alert:%') AS many
    FROM jobs WHERE state = 'failed' AND finished_at >= $1 AND finished_at < $2
        AND COALESCE(unique_key, '') NOT LIKE 'alert:%'
    ORDER BY finished_at DESC LIMIT 1";

/// Raises an alert if jobs have failed since the last one.
pub async fn check_failed_jobs(app: &App) -> Result<()> {
    let Some(last) = due(app, Alert::DeadJob).await? else { return Ok(()) };
    let (db, span) = (app.db.read(), [last - LATE_COMMITS, app.clock.now() - LATE_COMMITS]);
    let failed = Failed::find_by_statement(sql(db, FAILED, span.map(at))).one(db).await?;
    let Some(failed) = failed else { return Ok(()) };
    let reason = failed.error.as_deref().map_or("unknown", status::error_for_owner);
    let fact = |label: &str, value: String| (label.to_owned(), value);
    let facts = vec![
        fact("Job", failed.kind.clone()),
        fact("Id", failed.id.to_string()),
        fact("Reason", reason.to_owned()),
        fact("Failed since the last alert", failed.many.to_string()),
    ];
    raise(app, Alert::DeadJob, &format!("A job failed permanently: {}", failed.kind), facts).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_alerts_about_the_mail_server_are_outdated() {
        let now = DateTime::from_timestamp(1_795_251_600, 0).unwrap();
        for (key, expected) in [
            ("alert:mail-server:1795248000", true),
            ("alert:mail-server:1795248001", false),
            ("alert:dead-job:1795248000", false),
            ("reminders:2026-11-24", false),
            ("alert:mail-server:", false),
        ] {
            assert_eq!(is_outdated(key, now), expected, "{key}");
        }
    }
}
