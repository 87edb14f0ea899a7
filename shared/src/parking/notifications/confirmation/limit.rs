//! Limits on how many messages about bookings a driver gets. A booking beyond them is as good as any other.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use crate::{
    base::error::Result,
    jobs::Context,
    platform::db::{at, sql},
};

/// Whether the driver has been sent `limit` messages of this kind within `period`, not counting the one with `key`.
pub(super) async fn is_reached(
    context: &Context,
    user_id: i64,
    kind: &str,
    key: &str,
    limit: u32,
    period: TimeDelta,
) -> Result<bool> {
    let db = context.app.db.read();
    let text = "SELECT COUNT(*) AS n FROM email_deliveries
        WHERE user_id = $1 AND kind = $2 AND created_at > $3 AND key <> $4";
    let since = at(context.app.clock.now() - period);
    let row = db.query_one_raw(sql(db, text, [user_id.into(), kind.into(), since, key.into()])).await?;
    let sent: i64 = row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0);
    Ok(sent >= i64::from(limit))
}
