//! Ticks of the schedules: the worker whose insert succeeds enqueues the job.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m07_cron_ticks",
    up: &[Both(
        "CREATE TABLE cron_ticks (
        name TEXT NOT NULL,
        tick {time} NOT NULL,
        job_id {uuid},
        created_at {time} NOT NULL,
        PRIMARY KEY (name, tick)
    )",
    )],
    down: &["DROP TABLE cron_ticks"],
};
