//! Schedules as registered by workers, and indexes for dead jobs and for cleaning up.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m15_schedules",
    up: &[
        // Ticks up to `settled_until` have been enqueued or skipped.
        Both(
            "CREATE TABLE schedules (
        name TEXT NOT NULL PRIMARY KEY,
        timetable TEXT NOT NULL,
        settled_until {time} NOT NULL,
        last_job_id {uuid},
        last_run_at {time},
        paused_by BIGINT,
        paused_at {time}
    )",
        ),
        Both("CREATE INDEX jobs_dead ON jobs (id) WHERE state = 'failed'"),
        Both("CREATE INDEX jobs_dead_by_key ON jobs (kind, unique_key, id) WHERE state = 'failed'"),
        Both("CREATE INDEX sessions_by_expiry ON sessions (expires_at)"),
        Both("CREATE INDEX cron_ticks_by_age ON cron_ticks (tick)"),
        Both("CREATE INDEX email_deliveries_sent ON email_deliveries (updated_at) WHERE state = 'sent'"),
    ],
    down: &[
        "DROP INDEX email_deliveries_sent",
        "DROP INDEX cron_ticks_by_age",
        "DROP INDEX sessions_by_expiry",
        "DROP INDEX jobs_dead_by_key",
        "DROP INDEX jobs_dead",
        "DROP TABLE schedules",
    ],
};
