//! Versions of tariffs, and which one a stay is billed by.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m30_tariffs",
    up: &[
        // A version without terms charges every started hour at its rate. The terms are JSON: bills depend on all of them
        // together, and no query looks inside.
        Both(
            "CREATE TABLE tariff_versions (
        id {id},
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        valid_from {time} NOT NULL,
        created_at {time} NOT NULL,
        hourly_rate_minor BIGINT CHECK (hourly_rate_minor >= 0),
        terms TEXT,
        CHECK ((hourly_rate_minor IS NULL) <> (terms IS NULL))
    )",
        ),
        Both("CREATE INDEX tariff_versions_by_lot ON tariff_versions (lot_id, valid_from, id)"),
        Both(
            "CREATE TABLE lot_holidays (
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        day TEXT NOT NULL,
        PRIMARY KEY (lot_id, day)
    )",
        ),
        // The version in force when the stay was booked. Null for stays from before this release, and in lots that never had
        // a version: the hourly rate of the stay is all there is. A foreign key would make SQLite refuse to drop the column.
        Both("ALTER TABLE reservations ADD COLUMN tariff_version_id BIGINT"),
    ],
    down: &[
        "ALTER TABLE reservations DROP COLUMN tariff_version_id",
        "DROP TABLE lot_holidays",
        "DROP TABLE tariff_versions",
    ],
};
