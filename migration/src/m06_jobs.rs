//! The ledger of jobs.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m06_jobs",
    up: &[
        Both(
            "CREATE TABLE jobs (
        id {uuid} NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        queue TEXT NOT NULL,
        payload TEXT NOT NULL,
        unique_key TEXT,
        owner_id BIGINT REFERENCES users (id),
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        attempt BIGINT NOT NULL DEFAULT 0,
        max_attempts BIGINT NOT NULL,
        crashes BIGINT NOT NULL DEFAULT 0,
        run_at {time} NOT NULL,
        worker TEXT,
        lease_token {uuid},
        lease_until {time},
        cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
        progress_current BIGINT NOT NULL DEFAULT 0,
        progress_total BIGINT NOT NULL DEFAULT 0,
        result TEXT,
        error TEXT,
        trace TEXT,
        created_at {time} NOT NULL,
        started_at {time},
        finished_at {time}
    )",
        ),
        Both(
            "CREATE UNIQUE INDEX jobs_one_live_a_key ON jobs (kind, unique_key)
        WHERE unique_key IS NOT NULL AND state IN ('queued', 'running')",
        ),
        Both("CREATE INDEX jobs_due ON jobs (queue, run_at) WHERE state = 'queued'"),
        Both("CREATE INDEX jobs_running ON jobs (queue) WHERE state = 'running'"),
        Both("CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('succeeded', 'cancelled')"),
    ],
    down: &["DROP TABLE jobs"],
};
