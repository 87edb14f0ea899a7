//! Outages of the mail server, and the jobs that wait for their end.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m28_mail_outages",
    up: &[
        // One row while the server takes no mail.
        Both(
            "CREATE TABLE mail_outages (
        id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
        since {time} NOT NULL,
        reason TEXT NOT NULL,
        needs_repair BOOLEAN NOT NULL,
        failures BIGINT NOT NULL,
        probe_at {time} NOT NULL
    )",
        ),
        Both("ALTER TABLE jobs ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE"),
        Both("CREATE INDEX jobs_held ON jobs (run_at) WHERE held AND state = 'queued'"),
    ],
    down: &["DROP INDEX jobs_held", "ALTER TABLE jobs DROP COLUMN held", "DROP TABLE mail_outages"],
};
