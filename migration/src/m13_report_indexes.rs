//! What reports read: when a reservation counts as begun, and what was paid when.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The arrival, or the begin of the window while nobody has arrived. SQLite can add only computed columns to a table
/// with rows, PostgreSQL 15 has only stored ones.
const SQLITE_COLUMN: &[&str] = &["ALTER TABLE reservations
    ADD COLUMN parking_time {time} GENERATED ALWAYS AS (COALESCE(arrived_at, starts_at)) VIRTUAL"];
const POSTGRES_COLUMN: &[&str] = &["ALTER TABLE reservations
    ADD COLUMN parking_time {time} GENERATED ALWAYS AS (COALESCE(arrived_at, starts_at)) STORED"];

/// The first holds all that the administrators' report asks of completed reservations, and grows at its end only.
/// The second is the order of a user's history.
const INDEXES: &[&str] = &[
    "CREATE INDEX reservations_paid ON reservations (left_at, parking_time, lot_id, cost_minor, payment_method)
        WHERE state = 'completed'",
    "CREATE INDEX reservations_by_user_and_time ON reservations (user_id, parking_time, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run_for(manager, SQLITE_COLUMN, POSTGRES_COLUMN).await?;
        ddl::run(manager, INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(
            manager,
            &[
                "DROP INDEX reservations_by_user_and_time",
                "DROP INDEX reservations_paid",
                "ALTER TABLE reservations DROP COLUMN parking_time",
            ],
        )
        .await
    }
}
