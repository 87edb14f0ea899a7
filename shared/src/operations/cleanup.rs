//! The daily job that removes expired data: export files, finished jobs, sessions, tokens, codes, idempotency keys, ticks, mails,
//! plates of cars without accounts, accounts that were never verified, and old entries of the audit table.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    jobs::{Context, Done, Job, Queue},
    parking::{
        accounts, audit, exports,
        notifications::{self, Notice},
    },
    platform::{
        db::{at, sql},
        idempotency,
    },
};

/// Removes expired data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanUp {
    /// The scheduled time of this run.
    pub due: DateTime<Utc>,
}

/// Rows deleted per statement; other writers wait meanwhile on SQLite.
const BATCH: u64 = 500;

/// How long sent mails are kept after their jobs: a monthly report can be requested until the end of the next month, and
/// must not be sent twice.
const MAILS_OUTLIVE_JOBS: TimeDelta = TimeDelta::days(62);

/// Succeeded and cancelled jobs, except those of exports that can still be downloaded.
const JOBS: &str = "DELETE FROM jobs WHERE id IN (
    SELECT j.id FROM jobs j WHERE j.state IN ('succeeded', 'cancelled') AND j.finished_at < $1
        AND NOT EXISTS (SELECT 1 FROM exports e WHERE e.id = j.id AND e.removed_at IS NULL AND e.expires_at IS NOT NULL)
    ORDER BY j.finished_at LIMIT 500)";

/// Ended sessions stay until they would have expired.
const SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT 500)";

const TOKENS: &str =
    "DELETE FROM account_tokens WHERE id IN (SELECT id FROM account_tokens WHERE expires_at < $1 LIMIT 500)";

const KNOWN_ADDRESSES: &str = "DELETE FROM known_addresses WHERE (user_id, hash) IN (
    SELECT user_id, hash FROM known_addresses WHERE last_seen_at < $1 LIMIT 500)";

const CODES: &str =
    "DELETE FROM phone_codes WHERE id IN (SELECT id FROM phone_codes WHERE expires_at < $1 LIMIT 500)";

/// How long the plate of a car without an account is kept after it left, for questions about its bill.
const PLATES_OF_GUESTS_KEPT: TimeDelta = TimeDelta::days(90);

/// How long the audit table is kept: a year and a month to look at it.
const AUDIT_KEPT: TimeDelta = TimeDelta::days(400);

const PLATES_OF_GUESTS: &str = "UPDATE reservations SET plate = NULL, plate_key = NULL WHERE id IN (
    SELECT id FROM reservations WHERE house AND plate IS NOT NULL AND left_at < $1 AND payment_state <> 'unpaid' LIMIT 500)";

const TICKS: &str = "DELETE FROM cron_ticks WHERE (name, tick) IN (
    SELECT name, tick FROM cron_ticks WHERE tick < $1 ORDER BY tick LIMIT 500)";

/// A row prevents a second mail, so it stays while its job exists: a dead job can be requeued.
const MAILS: &str = "DELETE FROM email_deliveries WHERE key IN (
    SELECT d.key FROM email_deliveries d WHERE d.state = 'sent' AND d.updated_at < $1
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = d.job_id)
    ORDER BY d.updated_at LIMIT 500)";

impl Job for CleanUp {
    const NAME: &'static str = "clean-up";
    const QUEUE: Queue = Queue::Maintenance;
    const TIMEOUT: Duration = Duration::from_mins(30);

    /// Each batch is a transaction, so an interrupted run loses nothing and the next one continues.
    async fn run(&self, context: &Context) -> Result<Done> {
        let app = &context.app;
        let (now, retention) = (app.clock.now(), app.config.schedules.retention);
        let freed = exports::free_space(app).await?;
        // The names are shown in the mail and, with underscores, are the keys of the job's result.
        let mut counts =
            vec![("expired exports", freed.expired as u64), ("files", freed.files), ("bytes", freed.bytes)];
        let old = [
            ("ended jobs", JOBS, retention),
            ("expired sessions", SESSIONS, TimeDelta::zero()),
            ("expired tokens", TOKENS, TimeDelta::zero()),
            ("known addresses", KNOWN_ADDRESSES, accounts::KNOWN_FOR),
            ("expired codes", CODES, TimeDelta::zero()),
            ("plates of guests", PLATES_OF_GUESTS, PLATES_OF_GUESTS_KEPT),
            ("ticks", TICKS, retention),
            ("records of mails", MAILS, retention + MAILS_OUTLIVE_JOBS),
        ];
        for (what, text, age) in old {
            counts.push((what, delete(app, text, now - age).await?));
        }
        counts.push(("unverified accounts", accounts::remove_unverified(app).await?));
        counts.push(("audit entries", audit::prune(app, now - AUDIT_KEPT).await?));
        counts.push(("kept answers", idempotency::delete_expired(&app.db, now).await?));
        let notice = Notice {
            key: format!("clean-up:{}", rfc3339(self.due)),
            title: "Removed by the clean-up".into(),
            facts: counts.iter().map(|(what, count)| ((*what).to_owned(), count.to_string())).collect(),
        };
        let result: Map<String, Value> =
            counts.iter().map(|(what, count)| (what.replace(' ', "_"), json!(count))).collect();
        let mails = notifications::notify_administrators(&app.config, app.db.read(), &notice).await?;
        Ok(Done { result: result.into(), then: mails })
    }
}

/// Deletes old rows in batches and returns how many.
async fn delete(app: &App, text: &str, before: DateTime<Utc>) -> Result<u64> {
    let (db, mut deleted) = (app.db.write(), 0);
    loop {
        let rows = db.execute_raw(sql(db, text, [at(before)])).await?.rows_affected();
        deleted += rows;
        if rows < BATCH {
            return Ok(deleted);
        }
    }
}
