//! Mails to many users: who wants no reports, who is here at the moment, and whom a run has asked a mail for.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The last one is for two kinds of jobs only, so that no other pays for it.
const UP: &[&str] = &[
    "ALTER TABLE users ADD COLUMN reports_off BOOLEAN NOT NULL DEFAULT FALSE",
    "CREATE INDEX reservations_live_by_user ON reservations (user_id) WHERE state IN ('reserved', 'active')",
    "CREATE INDEX jobs_of_mailings ON jobs (kind, unique_key)
        WHERE kind IN ('send-reminder', 'send-monthly-report')",
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
                "DROP INDEX jobs_of_mailings",
                "DROP INDEX reservations_live_by_user",
                "ALTER TABLE users DROP COLUMN reports_off",
            ],
        )
        .await
    }
}
