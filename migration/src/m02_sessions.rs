//! Logins: a token is good only while its session row is open.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE sessions (
        id {uuid} NOT NULL PRIMARY KEY,
        user_id BIGINT NOT NULL REFERENCES users (id),
        user_agent TEXT,
        created_at {time} NOT NULL,
        expires_at {time} NOT NULL,
        ended_at {time}
    )",
    "CREATE INDEX sessions_by_user ON sessions (user_id, created_at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE sessions"]).await
    }
}
