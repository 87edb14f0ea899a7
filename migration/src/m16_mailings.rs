//! Mailings to many users: an opt-out of reports, and indexes for recipients and their jobs.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m16_mailings",
    up: &[
        Both("ALTER TABLE users ADD COLUMN reports_off BOOLEAN NOT NULL DEFAULT FALSE"),
        Both(
            "CREATE INDEX reservations_live_by_user ON reservations (user_id) WHERE state IN ('reserved', 'active')",
        ),
        // Partial, so that other jobs do not pay for it.
        Both(
            "CREATE INDEX jobs_of_mailings ON jobs (kind, unique_key)
        WHERE kind IN ('send-reminder', 'send-monthly-report')",
        ),
    ],
    down: &[
        "DROP INDEX jobs_of_mailings",
        "DROP INDEX reservations_live_by_user",
        "ALTER TABLE users DROP COLUMN reports_off",
    ],
};
