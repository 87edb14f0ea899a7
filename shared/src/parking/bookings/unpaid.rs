//! The limit on unpaid stays.

use sea_orm::ConnectionTrait;

use crate::{
    base::{
        error::{Error, Result},
        plural::plural,
    },
    platform::db::{Transaction, sql},
};

/// Refuses a new window to a driver with as many unpaid stays as `MAX_UNPAID_STAYS` says, or more. 0 is no limit.
///
/// # Errors
/// [`Error::Conflict`] that names the limit.
pub(super) async fn check(tx: &Transaction, limit: u32, user_id: i64) -> Result<()> {
    if limit == 0 {
        return Ok(());
    }
    let text = "SELECT COUNT(*) AS n FROM reservations WHERE user_id = $1 AND payment_state = 'unpaid'";
    let row = tx.query_one_raw(sql(tx, text, [user_id.into()])).await?;
    let unpaid: i64 = row.map_or(Ok(0), |row| row.try_get("", "n"))?;
    if unpaid < i64::from(limit) {
        return Ok(());
    }
    let (unpaid, limit) = (plural(unpaid, "unpaid stay"), plural(i64::from(limit), "unpaid stay"));
    let detail =
        format!("you have {unpaid}; with {limit} or more, no new reservation is possible until you pay");
    Err(Error::conflict("unpaid_stays", detail))
}
