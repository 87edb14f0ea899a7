//! Schedules as the workers have seen them, and what operators look for: dead jobs, and what is too old to be kept.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Ticks up to `settled_until` were run, or are not to be.
const UP: &[&str] = &[
    "CREATE TABLE schedules (
        name TEXT NOT NULL PRIMARY KEY,
        timetable TEXT NOT NULL,
        settled_until {time} NOT NULL,
        last_job_id {uuid},
        last_run_at {time},
        paused_by BIGINT,
        paused_at {time}
    )",
    "CREATE INDEX jobs_dead ON jobs (id) WHERE state = 'failed'",
    "CREATE INDEX jobs_dead_by_key ON jobs (kind, unique_key, id) WHERE state = 'failed'",
    "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
    "CREATE INDEX cron_ticks_by_age ON cron_ticks (tick)",
    "CREATE INDEX email_deliveries_sent ON email_deliveries (updated_at) WHERE state = 'sent'",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(
            manager,
            &[
                "DROP INDEX email_deliveries_sent",
                "DROP INDEX cron_ticks_by_age",
                "DROP INDEX sessions_by_expiry",
                "DROP INDEX jobs_dead_by_key",
                "DROP INDEX jobs_dead",
                "DROP TABLE schedules",
            ],
        )
        .await
    }
}
