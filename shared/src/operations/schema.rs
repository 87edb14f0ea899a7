//! The tables and migrations of this release.

use anyhow::anyhow;
use sea_orm::ConnectionTrait;

use crate::{
    base::error::{Error, Result},
    platform::db::{Db, sql},
};

/// Every table of the product.
pub const TABLES: [&str; 29] = [
    "installation",
    "rounded_amounts",
    "secrets",
    "users",
    "vehicles",
    "sessions",
    "account_tokens",
    "known_addresses",
    "second_factors",
    "recovery_codes",
    "phone_codes",
    "lots",
    "attendant_lots",
    "tariff_versions",
    "lot_holidays",
    "spots",
    "reservations",
    "jobs",
    "cron_ticks",
    "exports",
    "user_activity",
    "audit",
    "audit_chain",
    "email_deliveries",
    "mail_outages",
    "alerts",
    "idempotency_keys",
    "paused_queues",
    "schedules",
];

/// The table in which sea-orm records applied migrations.
pub(super) const MIGRATIONS_TABLE: &str = "seaql_migrations";

/// Selects the names of the applied migrations. Unlike sea-orm's own query it creates nothing.
pub(super) const APPLIED_MIGRATIONS: &str = "SELECT version FROM seaql_migrations ORDER BY version";

/// The names of this release's migrations, in order.
pub(super) fn known_migrations() -> Vec<String> {
    migration::names().into_iter().map(ToOwned::to_owned).collect()
}

/// Checks that the database has every table and column that this release needs.
///
/// # Errors
/// [`Error::Unavailable`] if a migration is missing, for example after `migrate down`, or the database is away.
pub async fn check(db: &Db) -> Result<()> {
    let rows = db.read().query_all_raw(sql(db.read(), APPLIED_MIGRATIONS, [])).await;
    let applied: Vec<String> = match rows {
        Ok(rows) => rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?,
        Err(error) => {
            return Err(Error::Unavailable(anyhow::Error::new(error).context("reading the schema")));
        }
    };
    match known_migrations().into_iter().find(|name| !applied.contains(name)) {
        None => Ok(()),
        Some(missing) => Err(Error::Unavailable(anyhow!(
            "the database lacks {missing}; restart, or run parkade-api migrate up"
        ))),
    }
}
