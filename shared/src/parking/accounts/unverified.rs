//! Removing accounts whose address was never verified and that never booked: nobody may know that they exist.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use super::delete::delete_if;
use crate::{
    app::App,
    base::error::Result,
    parking::audit::Actor,
    platform::db::{at, sql},
};

/// How long an address may stay unverified.
const KEPT_FOR: TimeDelta = TimeDelta::days(30);

/// Accounts from before release 0.4, and those that an administrator made, have no `unverified_since`.
const IS_REMOVABLE: &str =
    "unverified_since < $1 AND NOT email_verified AND role = 'user' AND deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = users.id)";

/// Accounts that are looked up at once.
const BATCH: u64 = 100;

/// Removes such accounts, and returns how many there were.
///
/// # Errors
/// Those of the database.
pub async fn remove_unverified(app: &App) -> Result<u64> {
    let (db, before) = (app.db.read(), app.clock.now() - KEPT_FOR);
    let text = format!("SELECT id FROM users WHERE {IS_REMOVABLE} AND id > $2 ORDER BY id LIMIT {BATCH}");
    let (mut removed, mut last) = (0, 0_i64);
    loop {
        let rows = db.query_all_raw(sql(db, &text, [at(before), last.into()])).await?;
        if rows.is_empty() {
            return Ok(removed);
        }
        for row in rows {
            last = row.try_get("", "id")?;
            let still = (
                format!("SELECT 1 FROM users WHERE {IS_REMOVABLE} AND id = $2"),
                vec![at(before), last.into()],
            );
            let is_removed = delete_if(app, &Actor::SCHEDULE, last, Some(&still)).await?;
            removed += u64::from(is_removed);
        }
    }
}
