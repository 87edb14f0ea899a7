//! What users did: logins, bookings, releases, exports, notifications.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE user_activity (
        id {id},
        user_id BIGINT NOT NULL REFERENCES users (id),
        kind TEXT NOT NULL,
        subject TEXT,
        created_at {time} NOT NULL
    )",
    "CREATE INDEX user_activity_by_user ON user_activity (user_id, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE user_activity"]).await
    }
}
