//! A column and indexes for reports: when parking began, and what was paid when.

use crate::migration::{
    Migration,
    Statement::{Both, Postgres, Sqlite},
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m13_report_indexes",
    up: &[
        // The arrival, or the start of the reservation before it. SQLite can only add virtual columns to an existing
        // table, PostgreSQL 15 only has stored ones.
        Sqlite("ALTER TABLE reservations
    ADD COLUMN parking_time {time} GENERATED ALWAYS AS (COALESCE(arrived_at, starts_at)) VIRTUAL"),
        Postgres("ALTER TABLE reservations
    ADD COLUMN parking_time {time} GENERATED ALWAYS AS (COALESCE(arrived_at, starts_at)) STORED"),
        // Covers the administrators' report on completed reservations.
        Both("CREATE INDEX reservations_paid ON reservations (left_at, parking_time, lot_id, cost_minor, payment_method)
        WHERE state = 'completed'"),
        // The order of a user's history.
        Both("CREATE INDEX reservations_by_user_and_time ON reservations (user_id, parking_time, id)"),
    ],
    down: &[
        "DROP INDEX reservations_by_user_and_time",
        "DROP INDEX reservations_paid",
        "ALTER TABLE reservations DROP COLUMN parking_time",
    ],
};
