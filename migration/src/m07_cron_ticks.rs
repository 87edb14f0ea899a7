//! Due times of the schedules: the worker whose insert wins writes the job.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &["CREATE TABLE cron_ticks (
        name TEXT NOT NULL,
        tick {time} NOT NULL,
        job_id {uuid},
        created_at {time} NOT NULL,
        PRIMARY KEY (name, tick)
    )"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE cron_ticks"]).await
    }
}
