//! When administrators were last alerted, by which way messages went, and what both look for.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE alerts (
        kind TEXT NOT NULL PRIMARY KEY,
        last_at {time} NOT NULL,
        suppressed BIGINT NOT NULL DEFAULT 0,
        told BIGINT NOT NULL DEFAULT 0
    )",
    "ALTER TABLE email_deliveries ADD COLUMN channel TEXT NOT NULL DEFAULT 'mail'
        CHECK (channel IN ('mail', 'chat', 'sms'))",
    "CREATE INDEX email_deliveries_by_job ON email_deliveries (job_id)",
    "CREATE INDEX jobs_dead_by_end ON jobs (finished_at) WHERE state = 'failed'",
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
                "DROP INDEX jobs_dead_by_end",
                "DROP INDEX email_deliveries_by_job",
                "ALTER TABLE email_deliveries DROP COLUMN channel",
                "DROP TABLE alerts",
            ],
        )
        .await
    }
}
