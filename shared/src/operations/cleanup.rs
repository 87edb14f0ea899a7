//! The job that removes what nobody needs any more: files, ended jobs, expired sessions, old keys, ticks and mails.

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
        exports,
        notifications::{self, Notice},
    },
    platform::{
        db::{at, sql},
        idempotency,
    },
};

/// Cleans up everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanUp {
    /// When it was due.
    pub due: DateTime<Utc>,
}

/// Rows that one statement deletes: SQLite's other writers wait for it.
const BATCH: u64 = 500;

/// A sent mail is remembered for so much longer than its job: a report on a month can be asked for again until the next
/// month is over, and must not go twice.
const MAILS_OUTLIVE_JOBS: TimeDelta = TimeDelta::days(62);

/// Ended well, and not that of an export that can still be downloaded, which hangs on it.
const JOBS: &str = "DELETE FROM jobs WHERE id IN (
    SELECT j.id FROM jobs j WHERE j.state IN ('succeeded', 'cancelled') AND j.finished_at < $1
        AND NOT EXISTS (SELECT 1 FROM exports e WHERE e.id = j.id AND e.removed_at IS NULL AND e.expires_at IS NOT NULL)
    ORDER BY j.finished_at LIMIT 500)";

/// A session that was ended goes when it would have expired.
const SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT 500)";

const TICKS: &str = "DELETE FROM cron_ticks WHERE (name, tick) IN (
    SELECT name, tick FROM cron_ticks WHERE tick < $1 ORDER BY tick LIMIT 500)";

/// The row keeps a mail from going twice, so it stays for as long as its job may come again: a dead one is requeued.
const MAILS: &str = "DELETE FROM email_deliveries WHERE key IN (
    SELECT d.key FROM email_deliveries d WHERE d.state = 'sent' AND d.updated_at < $1
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = d.job_id)
    ORDER BY d.updated_at LIMIT 500)";

impl Job for CleanUp {
    const NAME: &'static str = "clean-up";
    const QUEUE: Queue = Queue::Maintenance;
    const TIMEOUT: Duration = Duration::from_mins(30);

    /// A run that dies leaves its work done as far as it came, and the next one does the rest.
    async fn run(&self, context: &Context) -> Result<Done> {
        let app = &context.app;
        let (now, retention) = (app.clock.now(), app.config.schedules.retention);
        let freed = exports::free_space(app).await?;
        let mut facts =
            vec![("expired exports", freed.expired as u64), ("files", freed.files), ("bytes", freed.bytes)];
        let old = [
            ("ended jobs", JOBS, retention),
            ("expired sessions", SESSIONS, TimeDelta::zero()),
            ("ticks", TICKS, retention),
            ("records of mails", MAILS, retention + MAILS_OUTLIVE_JOBS),
        ];
        for (what, text, age) in old {
            facts.push((what, delete(app, text, now - age).await?));
        }
        facts.push(("kept answers", idempotency::delete_expired(&app.db, app.clock.now()).await?));
        let notice = Notice {
            key: format!("clean-up:{}", rfc3339(self.due)),
            title: "What the clean-up has removed".into(),
            facts: facts.iter().map(|(what, count)| ((*what).to_owned(), count.to_string())).collect(),
        };
        let result: Map<String, Value> =
            facts.iter().map(|(what, count)| (what.replace(' ', "_"), json!(count))).collect();
        let mails = notifications::tell_administrators(&app.config, app.db.read(), &notice).await?;
        Ok(Done { result: result.into(), then: mails })
    }
}

/// Deletes what is older than an instant, batch by batch. How many rows there were.
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
