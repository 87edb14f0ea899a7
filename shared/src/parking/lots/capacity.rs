//! Adding spots to a lot and retiring them.
//!
//! A booking locks its spot before it takes it, and so does the retirement of a spot: the first to lock it decides, and
//! the second sees the result.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};

use crate::{
    app::App,
    base::error::Result,
    platform::{
        db::{Transaction, at, row_lock, sql},
        entities::spot,
    },
};

/// Changes the number of spots by `difference`.
pub(super) async fn resize(tx: &Transaction, lot_id: i64, difference: i64, now: DateTime<Utc>) -> Result<()> {
    match difference {
        0 => Ok(()),
        more @ 1.. => grow(tx, lot_id, more).await,
        fewer => shrink(tx, lot_id, -fewer, now).await,
    }
}

async fn grow(tx: &Transaction, lot_id: i64, more: i64) -> Result<()> {
    let text = "
        WITH back AS MATERIALIZED (
            SELECT id FROM spots WHERE lot_id = $1 AND (retiring OR retired_at IS NOT NULL)
            ORDER BY retired_at IS NOT NULL, number LIMIT $2)
        UPDATE spots SET retiring = FALSE, retired_at = NULL WHERE id IN (SELECT id FROM back)";
    let back = tx.execute_raw(sql(tx, text, [lot_id.into(), more.into()])).await?.rows_affected();
    let new = more - i64::try_from(back).unwrap_or(more);
    let text = "SELECT COALESCE(MAX(number), 0) AS highest FROM spots WHERE lot_id = $1";
    let row = tx.query_one_raw(sql(tx, text, [lot_id.into()])).await?;
    let highest: i64 = row.map_or(Ok(0), |row| row.try_get("", "highest"))?;
    add_spots(tx, lot_id, highest + 1, highest + new).await
}

/// Adds the spots with the numbers from `first` to `last`.
pub(super) async fn add_spots(tx: &Transaction, lot_id: i64, first: i64, last: i64) -> Result<()> {
    let numbers: Vec<i64> = (first..=last).collect();
    for chunk in numbers.chunks(1_000) {
        let spots = chunk.iter().map(|number| spot::ActiveModel {
            lot_id: Set(lot_id),
            number: Set(*number),
            retiring: Set(false),
            retired_at: Set(None),
            ..Default::default()
        });
        spot::Entity::insert_many(spots).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// A retiring spot without a live reservation.
const VACATED: &str = "retired_at IS NULL AND retiring AND NOT EXISTS (
    SELECT 1 FROM reservations r WHERE r.spot_id = spots.id AND r.state IN ('reserved', 'active'))";

/// Only the retiring spots are locked, so bookings find the others. The first statement waits for pending bookings of
/// these spots, so the second one sees which of them are vacant.
async fn shrink(tx: &Transaction, lot_id: i64, fewer: i64, now: DateTime<Utc>) -> Result<()> {
    let lock = row_lock(tx, "FOR UPDATE OF s");
    let mark = format!(
        "WITH gone AS MATERIALIZED (
            SELECT s.id FROM spots s WHERE s.lot_id = $1 AND s.retired_at IS NULL AND NOT s.retiring
            ORDER BY EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active')),
                s.number DESC
            LIMIT $2 {lock})
         UPDATE spots SET retiring = TRUE WHERE id IN (SELECT id FROM gone)"
    );
    tx.execute_raw(sql(tx, &mark, [lot_id.into(), fewer.into()])).await?;
    let retire =
        format!("UPDATE spots SET retiring = FALSE, retired_at = $2 WHERE lot_id = $1 AND {VACATED}");
    tx.execute_raw(sql(tx, &retire, [lot_id.into(), at(now)])).await?;
    Ok(())
}

/// The number of spots that leave service when their last reservation ends.
pub(super) async fn count_retiring(tx: &Transaction, lot_id: i64) -> Result<i64> {
    let text = "SELECT COUNT(*) AS n FROM spots WHERE lot_id = $1 AND retired_at IS NULL AND retiring";
    let row = tx.query_one_raw(sql(tx, text, [lot_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or_default())
}

/// Records when retiring spots were vacated. They already count as out of service, so the delay does not matter.
/// Returns how many there were.
pub async fn finish_retirements(app: &App) -> Result<u64> {
    let db = app.db.write();
    let lock = row_lock(db, "FOR UPDATE SKIP LOCKED");
    let text = format!(
        "WITH gone AS MATERIALIZED (SELECT id FROM spots WHERE {VACATED} {lock})
         UPDATE spots SET retiring = FALSE, retired_at = $1 WHERE id IN (SELECT id FROM gone)"
    );
    Ok(db.execute_raw(sql(db, &text, [at(app.clock.now())])).await?.rows_affected())
}
