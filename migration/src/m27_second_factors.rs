//! Second factors: time-based codes and recovery codes, and when a session was last confirmed with one.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m27_second_factors",
    up: &[
        Both(
            // The secret is derived from the salt and a key that is not in this table.
            "CREATE TABLE second_factors (
        user_id BIGINT NOT NULL PRIMARY KEY REFERENCES users (id),
        salt TEXT NOT NULL,
        created_at {time} NOT NULL,
        confirmed_at {time},
        last_step BIGINT NOT NULL DEFAULT 0
    )",
        ),
        Both(
            "CREATE TABLE recovery_codes (
        user_id BIGINT NOT NULL REFERENCES users (id),
        hash TEXT NOT NULL,
        PRIMARY KEY (user_id, hash)
    )",
        ),
        Both("ALTER TABLE sessions ADD COLUMN confirmed_at {time}"),
    ],
    down: &[
        "ALTER TABLE sessions DROP COLUMN confirmed_at",
        "DROP TABLE recovery_codes",
        "DROP TABLE second_factors",
    ],
};
