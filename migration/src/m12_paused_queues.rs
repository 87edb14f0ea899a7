//! Queues from which workers take no jobs.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m12_paused_queues",
    up: &[Both(
        "CREATE TABLE paused_queues (
        queue TEXT NOT NULL PRIMARY KEY,
        paused_by BIGINT,
        paused_at {time} NOT NULL
    )",
    )],
    down: &["DROP TABLE paused_queues"],
};
