//! Mails: a row is claimed before SMTP and closed after the 250, so that none goes twice.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &["CREATE TABLE email_deliveries (
        key TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        user_id BIGINT REFERENCES users (id),
        job_id {uuid},
        message_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'refused', 'ambiguous')),
        attempts BIGINT NOT NULL DEFAULT 1,
        resent BOOLEAN NOT NULL DEFAULT FALSE,
        error TEXT,
        created_at {time} NOT NULL,
        updated_at {time} NOT NULL
    )"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE email_deliveries"]).await
    }
}
