//! Alerts to administrators, the channel of each message, and indexes for both.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m17_alerts_and_channels",
    up: &[
        Both(
            "CREATE TABLE alerts (
        kind TEXT NOT NULL PRIMARY KEY,
        last_at {time} NOT NULL,
        suppressed BIGINT NOT NULL DEFAULT 0,
        told BIGINT NOT NULL DEFAULT 0
    )",
        ),
        Both(
            "ALTER TABLE email_deliveries ADD COLUMN channel TEXT NOT NULL DEFAULT 'mail'
        CHECK (channel IN ('mail', 'chat', 'sms'))",
        ),
        Both("CREATE INDEX email_deliveries_by_job ON email_deliveries (job_id)"),
        Both("CREATE INDEX jobs_dead_by_end ON jobs (finished_at) WHERE state = 'failed'"),
    ],
    down: &[
        "DROP INDEX jobs_dead_by_end",
        "DROP INDEX email_deliveries_by_job",
        "ALTER TABLE email_deliveries DROP COLUMN channel",
        "DROP TABLE alerts",
    ],
};
