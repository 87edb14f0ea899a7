//! The tables and migrations of this release.

/// Every table of the product.
pub const TABLES: [&str; 25] = [
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
    "spots",
    "reservations",
    "jobs",
    "cron_ticks",
    "exports",
    "user_activity",
    "audit",
    "email_deliveries",
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
