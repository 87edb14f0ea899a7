//! Emptying the database for a demonstration or a test: everything goes but the administrators.

use std::{fs, io};

use anyhow::Context;
use sea_orm::ConnectionTrait;

use super::clear;
use crate::{
    app::App,
    base::error::{Error, Result},
    parking::{activity, exports::file::Name},
    platform::{cache::Group, config::Environment, db::sql},
};

/// What has to be typed to confirm it.
pub const PHRASE: &str = "delete all data";

/// Those that refer to others come before them. Ids go on where they were. Schedules stay known: running workers rely
/// on it, and ticks of before are not to be made up for.
const STATEMENTS: [&str; 14] = [
    "DELETE FROM idempotency_keys",
    "DELETE FROM email_deliveries",
    "DELETE FROM alerts",
    "DELETE FROM user_activity",
    "DELETE FROM exports",
    "DELETE FROM jobs",
    "DELETE FROM cron_ticks",
    "DELETE FROM paused_queues",
    "UPDATE schedules SET paused_at = NULL, paused_by = NULL WHERE paused_at IS NOT NULL",
    "DELETE FROM reservations",
    "DELETE FROM spots",
    "DELETE FROM lots",
    "DELETE FROM sessions WHERE user_id NOT IN (SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL)",
    "DELETE FROM users WHERE role <> 'admin' OR deleted_at IS NOT NULL",
];

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Rows of the database.
    pub rows: u64,
    /// Keys of Redis; `None` when it was away, and they go as their lifetimes end.
    pub keys: Option<u64>,
    /// Export files.
    pub files: u64,
}

/// Removes all data but the administrators and their sessions. `who` asked for it, if it was an administrator.
///
/// # Errors
/// [`Error::Conflict`] in production or without `ALLOW_RESET`, [`Error::Invalid`] for another phrase, those of the database.
pub async fn reset(app: &App, who: Option<i64>, phrase: &str) -> Result<Removed> {
    if app.config.environment == Environment::Production {
        return Err(Error::conflict(
            "reset_in_production",
            "APP_ENV is production: data is not deleted there",
        ));
    }
    if !app.config.allow_reset {
        return Err(Error::conflict("reset_not_allowed", "set ALLOW_RESET=true to allow it here"));
    }
    if phrase != PHRASE {
        return Err(Error::invalid("/confirm", format!("must be the words: {PHRASE}")));
    }
    let rows = empty_tables(app, who).await?;
    app.cache.invalidate(&[Group::Everything]).await;
    let keys = clear::clear_all(app).await;
    if let Err(error) = &keys {
        tracing::warn!(error = error.chain(), "Redis was not cleared by the reset");
    }
    let files = remove_files(app).context("removing export files")?;
    tracing::warn!(user.id = who, rows, files, "all data was deleted by a reset");
    Ok(Removed { rows, keys: keys.ok(), files })
}

async fn empty_tables(app: &App, who: Option<i64>) -> Result<u64> {
    let tx = app.db.begin().await?;
    let mut rows = 0;
    for text in STATEMENTS {
        rows += tx.execute_raw(sql(&tx, text, [])).await?.rows_affected();
    }
    if let Some(user_id) = who {
        activity::record(&tx, app.clock.now(), user_id, activity::Kind::Reset, None).await?;
    }
    tx.commit().await?;
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
