//! The database schema, one table a file, for SQLite and PostgreSQL.
//!
//! A shipped migration is never edited: a change is a new file that adds before anything is removed.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod ddl;
mod m01_users;
mod m02_sessions;
mod m03_lots;
mod m04_spots;
mod m05_reservations;
mod m06_jobs;
mod m07_cron_ticks;
mod m08_exports;
mod m09_user_activity;
mod m10_email_deliveries;
mod m11_idempotency_keys;
mod m12_paused_queues;
mod m13_report_indexes;
mod m14_sweep_indexes;
mod m15_schedules;
mod m16_mailings;
mod m17_alerts_and_channels;

/// Every migration, in the order in which they are applied.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m01_users::Migration),
            Box::new(m02_sessions::Migration),
            Box::new(m03_lots::Migration),
            Box::new(m04_spots::Migration),
            Box::new(m05_reservations::Migration),
            Box::new(m06_jobs::Migration),
            Box::new(m07_cron_ticks::Migration),
            Box::new(m08_exports::Migration),
            Box::new(m09_user_activity::Migration),
            Box::new(m10_email_deliveries::Migration),
            Box::new(m11_idempotency_keys::Migration),
            Box::new(m12_paused_queues::Migration),
            Box::new(m13_report_indexes::Migration),
            Box::new(m14_sweep_indexes::Migration),
            Box::new(m15_schedules::Migration),
            Box::new(m16_mailings::Migration),
            Box::new(m17_alerts_and_channels::Migration),
        ]
    }
}
