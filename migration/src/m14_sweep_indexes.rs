//! What the workers' sweep looks for every few seconds, so that finding nothing costs nothing.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &[
    "CREATE INDEX reservations_coming ON reservations (starts_at) WHERE state = 'reserved'",
    "CREATE INDEX spots_retiring ON spots (id) WHERE retiring",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
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
                "DROP INDEX idempotency_keys_by_age",
                "DROP INDEX spots_retiring",
                "DROP INDEX reservations_coming",
            ],
        )
        .await
    }
}
