//! What a booking needs to know about its driver.

use sea_orm::ConnectionTrait;

use crate::{
    base::error::{Error, Result},
    platform::db::{Transaction, row_lock, sql},
};

/// Locks a user against deletion and against other reservations of theirs, which share its limits.
pub(super) async fn lock_to_reserve(tx: &Transaction, id: i64) -> Result<()> {
    let lock = row_lock(tx, "FOR NO KEY UPDATE");
    let text = format!("SELECT 1 AS one FROM users WHERE id = $1 AND deleted_at IS NULL {lock}");
    let user = tx.query_one_raw(sql(tx, &text, [id.into()])).await?;
    user.map(drop).ok_or(Error::NotFound("user"))
}

/// Whether the user exists and is not deleted.
pub(super) async fn exists(db: &impl ConnectionTrait, id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM users WHERE id = $1 AND deleted_at IS NULL";
    Ok(db.query_one_raw(sql(db, text, [id.into()])).await?.is_some())
}
