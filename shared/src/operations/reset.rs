//! Deletes all data except administrators, for demos and tests.

use std::{fs, io};

use anyhow::Context;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::clear;
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{
        activity,
        audit::{self, Action, Actor, Object},
        exports::file::Name,
    },
    platform::{cache::Group, config::Environment, db::sql},
};

/// The required confirmation.
pub const PHRASE: &str = "delete all data";

/// Ordered by foreign keys. Ids are not reused. Schedules stay, because running workers rely on them and must not catch up
/// on earlier ticks, and so do the currency and the secrets of running processes.
const STATEMENTS: [&str; 25] = [
    "DELETE FROM idempotency_keys",
    "DELETE FROM email_deliveries",
    "DELETE FROM mail_outages",
    "DELETE FROM account_tokens",
    "DELETE FROM known_addresses",
    "DELETE FROM phone_codes",
    "DELETE FROM alerts",
    "DELETE FROM user_activity",
    "DELETE FROM exports",
    "DELETE FROM jobs",
    "DELETE FROM cron_ticks",
    "DELETE FROM paused_queues",
    "UPDATE schedules SET paused_at = NULL, paused_by = NULL WHERE paused_at IS NOT NULL",
    "DELETE FROM rounded_amounts",
    "DELETE FROM reservations",
    "DELETE FROM spots",
    "DELETE FROM attendant_lots",
    "DELETE FROM lot_holidays",
    "DELETE FROM tariff_versions",
    "DELETE FROM lots",
    "DELETE FROM sessions WHERE user_id NOT IN (SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL)",
    "DELETE FROM second_factors WHERE user_id NOT IN (SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL)",
    "DELETE FROM recovery_codes WHERE user_id NOT IN (SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL)",
    "DELETE FROM vehicles WHERE user_id NOT IN (SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL)",
    "DELETE FROM users WHERE role <> 'admin' OR deleted_at IS NOT NULL",
];

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Database rows.
    pub rows: u64,
    /// Redis keys; `None` if Redis was away. Remaining keys expire by themselves.
    pub keys: Option<u64>,
    /// Export files.
    pub files: u64,
}

/// Deletes everything except administrators, their sessions, and the audit table.
///
/// # Errors
/// [`Error::Conflict`] in production or without `ALLOW_RESET`, [`Error::Invalid`] unless `phrase` is [`PHRASE`].
pub async fn reset(app: &App, by: &Actor, phrase: &str) -> Result<Removed> {
    if app.config.environment == Environment::Production {
        return Err(Error::conflict(
            "reset_in_production",
            "APP_ENV is production, where a reset is never allowed",
        ));
    }
    if !app.config.allow_reset {
        return Err(Error::conflict("reset_not_allowed", "set ALLOW_RESET=true to allow resets"));
    }
    if phrase != PHRASE {
        return Err(Error::invalid("/confirm", format!("must be exactly {PHRASE:?}")));
    }
    let rows = empty_tables(app, by).await?;
    let keys = clear::clear_all(app).await;
    if let Err(error) = &keys {
        tracing::warn!(error = error.chain(), "the reset could not clear Redis");
    }
    let files = remove_files(app).context("removing export files")?;
    tracing::warn!(user.id = by.user_id, rows, files, "a reset deleted all data");
    Ok(Removed { rows, keys: keys.ok(), files })
}

async fn empty_tables(app: &App, by: &Actor) -> Result<u64> {
    let mut change = Change::begin(app).await?;
    change.invalidates([Group::Everything]);
    let mut rows = 0;
    for text in STATEMENTS {
        rows += change.tx().execute_raw(sql(change.tx(), text, [])).await?.rows_affected();
    }
    let now = app.clock.now();
    audit::record(change.tx(), now, by, Action::Reset, Object::Installation, &json!({ "rows": rows }))
        .await?;
    if let Some(user_id) = by.user_id {
        activity::record(change.tx(), now, user_id, activity::Kind::Reset, None).await?;
    }
    change.commit().await?;
    Ok(rows)
}

fn remove_files(app: &App) -> io::Result<u64> {
    let folder = &app.config.upload_folder;
    let mut removed = 0;
    for name in Name::list(folder)? {
        match fs::remove_file(folder.join(name.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            gone => removed += u64::from(gone.is_ok()),
        }
    }
    Ok(removed)
}
