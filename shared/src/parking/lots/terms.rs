//! The tariff version that is in force in a lot.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use crate::{
    base::{error::Result, money::Money},
    platform::db::{at, sql},
};

/// The id of the version in force at `$1`, in the lot with the id `lot`. Null if the lot never had one.
pub(crate) fn version_in_force(lot: &str) -> String {
    format!(
        "(SELECT v.id FROM tariff_versions v WHERE v.lot_id = {lot} AND v.valid_from <= $1
          ORDER BY v.valid_from DESC, v.id DESC LIMIT 1)"
    )
}

/// Stores that from now on, the lot charges every started hour at a rate.
pub(super) async fn set_hourly(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    lot_id: i64,
    rate: Money,
) -> Result<()> {
    let text = "INSERT INTO tariff_versions (lot_id, valid_from, created_at, hourly_rate_minor)
        VALUES ($1, $2, $2, $3)";
    db.execute_raw(sql(db, text, [lot_id.into(), at(now), rate.minor().into()])).await?;
    Ok(())
}
