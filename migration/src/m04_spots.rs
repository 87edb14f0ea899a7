//! The places of a lot, numbered from 1; one being retired takes no new booking.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &[&str] = &["CREATE TABLE spots (
        id {id},
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        number BIGINT NOT NULL,
        retiring BOOLEAN NOT NULL DEFAULT FALSE,
        retired_at {time},
        UNIQUE (lot_id, number)
    )"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, &["DROP TABLE spots"]).await
    }
}
