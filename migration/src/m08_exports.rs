//! CSV exports: what was asked for and the file that came of it. The id is that of the job.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE exports (
        id {uuid} NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        user_id BIGINT NOT NULL REFERENCES users (id),
        everyone BOOLEAN NOT NULL DEFAULT FALSE,
        from_at {time},
        until_at {time},
        lot_id BIGINT,
        anonymise BOOLEAN NOT NULL DEFAULT FALSE,
        file_name TEXT,
        row_count BIGINT,
        byte_count BIGINT,
        sha256 TEXT,
        created_at {time} NOT NULL,
        ready_at {time},
        expires_at {time},
        removed_at {time}
    )",
    "CREATE INDEX exports_by_user ON exports (user_id, created_at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE exports"]).await
    }
}
