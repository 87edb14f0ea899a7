//! Car parks with their tariff; an archived lot keeps its history.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &["CREATE TABLE lots (
        id {id},
        location_name TEXT NOT NULL,
        address TEXT NOT NULL,
        pincode TEXT NOT NULL,
        price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
        number_of_slots BIGINT NOT NULL CHECK (number_of_slots BETWEEN 1 AND 10000),
        version BIGINT NOT NULL DEFAULT 1,
        created_at {time} NOT NULL,
        updated_at {time} NOT NULL,
        archived_at {time}
    )"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE lots"]).await
    }
}
