//! Outages of the mail server: a circuit breaker that all workers share. While the server takes no mail, jobs are held
//! without using up attempts, and one mail at a time tests whether it does again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult};
use serde::Serialize;

use super::alert::{self, Alert};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        plural::plural,
        time::{rfc3339, wire},
    },
    jobs::{Enqueued, Queue, announce_soon},
    platform::db::{Db, at, sql},
};

/// The server takes no mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Outage {
    /// Since when.
    #[serde(with = "wire")]
    pub since: DateTime<Utc>,
    /// The last failure.
    pub reason: String,
    /// Whether settings must be changed, of Parkade or of the server.
    pub needs_repair: bool,
    /// Failed attempts in a row.
    pub failures: i64,
    /// When a mail may test the server next.
    #[serde(with = "wire")]
    pub probe_at: DateTime<Utc>,
}

/// Longer than a mail may take: after this time, a test whose worker died is given to another mail.
const PROBE_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest pauses between two tests: of a server that is away, and of one that needs a repair.
const MAX_PAUSE: Duration = Duration::from_mins(1);
const MAX_PAUSE_UNTIL_REPAIR: Duration = Duration::from_mins(5);

/// A shorter outage raises no alert.
const ALERT_AFTER: TimeDelta = TimeDelta::seconds(30);

/// Held jobs that [`check`] releases at once when the server is back.
const RELEASED_AT_ONCE: i64 = 50;

/// The outage, if there is one.
pub async fn find(db: &Db) -> Result<Option<Outage>> {
    let text = "SELECT since, reason, needs_repair, failures, probe_at FROM mail_outages WHERE id = 1";
    Ok(Outage::find_by_statement(sql(db.read(), text, [])).one(db.read()).await?)
}

/// How many jobs wait for the end of the outage.
pub async fn count_held(db: &Db) -> Result<i64> {
    let text = "SELECT COUNT(*) AS n FROM jobs WHERE held AND state = 'queued'";
    let row = db.read().query_one_raw(sql(db.read(), text, [])).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// Leave to send one mail.
#[derive(Debug)]
#[must_use]
pub(super) struct Pass {
    /// The failures before this mail, if it tests the server.
    probe_after: Option<i64>,
}

/// Asks for leave to send a mail.
///
/// # Errors
/// [`Error::Held`] during an outage, unless this mail is to test the server.
pub(super) async fn enter(app: &App) -> Result<Pass> {
    let Some(outage) = find(&app.db).await? else { return Ok(Pass { probe_after: None }) };
    let (db, now) = (app.db.write(), app.clock.now());
    if outage.probe_at <= now {
        let text = "UPDATE mail_outages SET probe_at = $1 WHERE probe_at <= $2";
        let claimed = db.execute_raw(sql(db, text, [at(now + PROBE_TIMEOUT), at(now)])).await?;
        if claimed.rows_affected() == 1 {
            return Ok(Pass { probe_after: Some(outage.failures) });
        }
    }
    Err(Error::Held(outage.reason))
}

impl Pass {
    /// Lets another mail test the server: this one is not sent after all.
    pub(super) async fn return_unused(self, app: &App) -> Result<()> {
        if self.probe_after.is_some() {
            let db = app.db.write();
            let text = "UPDATE mail_outages SET probe_at = $1";
            db.execute_raw(sql(db, text, [at(app.clock.now())])).await?;
        }
        Ok(())
    }

    /// Tells all workers whether the server takes mail (though perhaps not this one) or, if not, why and whether settings must
    /// be changed. Best effort: another mail will find out.
    pub(super) async fn report(self, app: &App, outage: Option<(String, bool)>) {
        let reported = match outage {
            None => self.end_outage(app).await,
            Some((reason, needs_repair)) => self.prolong_outage(app, &reason, needs_repair).await,
        };
        if let Err(error) = reported {
            tracing::warn!(error = error.chain(), "cannot record whether the mail server takes mail");
        }
    }

    async fn end_outage(self, app: &App) -> Result<()> {
        if self.probe_after.is_some() {
            let db = app.db.write();
            db.execute_raw(sql(db, "DELETE FROM mail_outages", [])).await?;
            tracing::info!("the mail server takes mail again");
        }
        Ok(())
    }

    /// Begins an outage, or prolongs it if this mail was to test the server.
    async fn prolong_outage(self, app: &App, reason: &str, needs_repair: bool) -> Result<()> {
        let (db, now, failures) = (app.db.write(), app.clock.now(), self.probe_after.unwrap_or(0) + 1);
        let on_conflict = match self.probe_after {
            Some(_) => "UPDATE SET reason = $2, needs_repair = $3, failures = $4, probe_at = $5",
            None => "NOTHING",
        };
        let text = format!(
            "INSERT INTO mail_outages (id, since, reason, needs_repair, failures, probe_at)
             VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT (id) DO {on_conflict}"
        );
        let probe_at = at(now + pause(failures, needs_repair));
        let values = [at(now), reason.into(), needs_repair.into(), failures.into(), probe_at];
        let written = db.execute_raw(sql(db, &text, values)).await?;
        if failures == 1 && written.rows_affected() == 1 {
            tracing::warn!(reason, "the mail server takes no mail; jobs are held until it does");
        }
        Ok(())
    }
}

/// The pause after so many failures in a row: from a second to minutes.
fn pause(failures: i64, needs_repair: bool) -> Duration {
    let longest = if needs_repair { MAX_PAUSE_UNTIL_REPAIR } else { MAX_PAUSE };
    let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
    Duration::from_secs(1 << doublings).min(longest)
}

/// Releases held jobs when the server is back, or one to test it, and alerts administrators of a long outage. Every worker
/// calls this every two seconds.
pub async fn check(app: &App) -> Result<()> {
    let now = app.clock.now();
    let Some(outage) = find(&app.db).await? else { return release(app, RELEASED_AT_ONCE).await };
    if outage.probe_at <= now {
        release(app, 1).await?;
    }
    if outage.since <= now - ALERT_AFTER && alert::due(app, Alert::MailServer).await?.is_some() {
        let title = if outage.needs_repair {
            "The mail server rejects our mail"
        } else {
            "The mail server cannot be reached"
        };
        let held = plural(count_held(&app.db).await?, "mail");
        let fact = |label: &str, value: String| (label.to_owned(), value);
        let facts = vec![
            fact("Reason", outage.reason),
            fact("Since", rfc3339(outage.since)),
            fact("Meanwhile", format!("{held} waiting; sent when the server takes mail again")),
        ];
        alert::raise(app, Alert::MailServer, title, facts).await?;
    }
    Ok(())
}

/// Makes held jobs due, those first that have not been tried for the longest time, so that one mail that the server
/// rejects cannot keep the others from being tried.
async fn release(app: &App, limit: i64) -> Result<()> {
    if count_held(&app.db).await? == 0 {
        return Ok(());
    }
    let db = app.db.write();
    let text = "UPDATE jobs SET run_at = $1, held = FALSE WHERE held AND state = 'queued' AND id IN
            (SELECT id FROM jobs WHERE held AND state = 'queued' ORDER BY run_at LIMIT $2)
         RETURNING id";
    let rows = db.query_all_raw(sql(db, text, [at(app.clock.now()), limit.into()])).await?;
    let job = |row: &QueryResult| Ok(Enqueued { id: row.try_get("", "id")?, queue: Queue::Mail, due: true });
    announce_soon(app, rows.iter().map(job).collect::<Result<_>>()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_the_server_become_rarer() {
        let seconds = |failures, needs_repair| pause(failures, needs_repair).as_secs();
        assert_eq!([1, 2, 6, 7, 99].map(|n| seconds(n, false)), [1, 2, 32, 60, 60]);
        assert_eq!([1, 2, 9, 10, 99].map(|n| seconds(n, true)), [1, 2, 256, 300, 300]);
    }
}
