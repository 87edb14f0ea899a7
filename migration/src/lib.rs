//! The database schema for SQLite and PostgreSQL, one migration per file.
//!
//! A shipped migration is never changed. A change to the schema is a new file, and adds before anything is removed.

pub use sea_orm_migration::MigratorTraitSelf;
use sea_orm_migration::prelude::*;

mod identities;
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
mod m18_windows;
mod m19_payments_and_audit;
mod m20_vehicles_and_identities;
mod m21_currency;
mod m22_export_formats;
mod m23_account_tokens;
mod m24_walk_in_start;
mod m25_attendants;
mod m26_accounts;
mod m27_second_factors;
mod m28_mail_outages;
mod m29_audit_chain;
mod m30_tariffs;
mod migration;
mod report;

use self::migration::{Configured, Migration};
pub use self::{
    identities::{WithoutKey, without_key},
    migration::Settings,
    report::{REPORTS, Report},
};

/// In the order in which they are applied.
const MIGRATIONS: [Migration; 30] = [
    m01_users::MIGRATION,
    m02_sessions::MIGRATION,
    m03_lots::MIGRATION,
    m04_spots::MIGRATION,
    m05_reservations::MIGRATION,
    m06_jobs::MIGRATION,
    m07_cron_ticks::MIGRATION,
    m08_exports::MIGRATION,
    m09_user_activity::MIGRATION,
    m10_email_deliveries::MIGRATION,
    m11_idempotency_keys::MIGRATION,
    m12_paused_queues::MIGRATION,
    m13_report_indexes::MIGRATION,
    m14_sweep_indexes::MIGRATION,
    m15_schedules::MIGRATION,
    m16_mailings::MIGRATION,
    m17_alerts_and_channels::MIGRATION,
    m18_windows::MIGRATION,
    m19_payments_and_audit::MIGRATION,
    m20_vehicles_and_identities::MIGRATION,
    m21_currency::MIGRATION,
    m22_export_formats::MIGRATION,
    m23_account_tokens::MIGRATION,
    m24_walk_in_start::MIGRATION,
    m25_attendants::MIGRATION,
    m26_accounts::MIGRATION,
    m27_second_factors::MIGRATION,
    m28_mail_outages::MIGRATION,
    m29_audit_chain::MIGRATION,
    m30_tariffs::MIGRATION,
];

/// Applies and undoes the migrations.
#[derive(Debug, Clone)]
pub struct Migrator(pub Settings);

impl MigratorTraitSelf for Migrator {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let configured = |migration| -> Box<dyn MigrationTrait> {
            Box::new(Configured { migration, settings: self.0.clone() })
        };
        MIGRATIONS.into_iter().map(configured).collect()
    }
}

/// The names of all migrations, in the order in which they are applied.
#[must_use]
pub fn names() -> Vec<&'static str> {
    MIGRATIONS.iter().map(|migration| migration.name).collect()
}
