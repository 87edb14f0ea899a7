//! Finding a spot for a window.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::start::{Spares, count_displaced, lock_spares};
use crate::{
    base::error::{Error, Result},
    parking::{
        lots::{
            self, Moment,
            availability::{fits, is_kept, window_values},
            version_in_force,
        },
        rules::window::Window,
    },
    platform::{
        config::Parking,
        db::{Transaction, row_lock, sql},
    },
};

/// Where a driver wants to park.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the spot of this lot that the window fits most tightly.
    Lot(i64),
    /// On this spot.
    Spot(i64),
}

/// A spot that the window fits, locked where rows can be locked.
#[derive(Debug, FromQueryResult)]
pub(super) struct Placed {
    pub(super) id: i64,
    pub(super) lot_id: i64,
    pub(super) price_minor: i64,
    pub(super) tariff_version_id: Option<i64>,
    pub(super) terms: Option<String>,
    retiring: bool,
    fits: bool,
    is_occupied: bool,
}

pub(super) const SPOT_TAKEN: &str = "spot_taken";
pub(super) const LOT_FULL: &str = "lot_full";

pub(super) fn spot_taken() -> Error {
    Error::conflict(SPOT_TAKEN, "the spot is taken during this window; choose another spot or another time")
}

fn lot_full() -> Error {
    let detail =
        "no spot of the parking lot is free during this window; choose another time or another parking lot";
    Error::conflict(LOT_FULL, detail)
}

/// Finds and locks a spot for the window. `None` if another booking took the chosen one first.
///
/// A window that is due at once must leave a free spot for every displaced window. So it locks the lot against others
/// like it, and these free spots against drivers without a reservation.
pub(super) async fn place(
    tx: &Transaction,
    rules: &Parking,
    moment: Moment,
    place: Place,
    window: Window,
) -> Result<Option<Placed>> {
    let lot_id = lot_of(tx, place).await?;
    let is_due = window.from < moment.due;
    if is_due {
        lots::lock(tx, lot_id).await?;
    }
    let chosen = match place {
        Place::Lot(id) => match choose(tx, rules, moment, id, window).await? {
            Some(spot) => spot,
            None => return Err(no_spot(tx, id).await),
        },
        Place::Spot(id) => id,
    };
    let spot = lock_and_read(tx, rules, moment, chosen, window).await?;
    match place {
        Place::Lot(_) if spot.retiring || !spot.fits => return Ok(None),
        Place::Spot(_) if spot.retiring => {
            let detail = "the spot is about to be taken out of service; choose another one";
            return Err(Error::conflict("spot_retiring", detail));
        }
        Place::Spot(_) if !spot.fits => return Err(spot_taken()),
        _ => {}
    }
    if is_due {
        let displaced = count_displaced(tx, lot_id, moment).await? + i64::from(spot.is_occupied);
        match lock_spares(tx, lot_id, moment, spot.id, displaced).await? {
            Spares::Locked => {}
            Spares::Contended => return Ok(None),
            Spares::Missing => return Err(lot_full()),
        }
    }
    Ok(Some(spot))
}

async fn no_spot(tx: &Transaction, lot_id: i64) -> Error {
    match lots::explain_no_spot(tx, lot_id).await {
        Error::Conflict { .. } => lot_full(),
        error => error,
    }
}

pub(super) async fn lot_of(db: &impl ConnectionTrait, place: Place) -> Result<i64> {
    let spot_id = match place {
        Place::Lot(id) => return Ok(id),
        Place::Spot(id) => id,
    };
    let row = db.query_one_raw(sql(db, "SELECT lot_id FROM spots WHERE id = $1", [spot_id.into()])).await?;
    Ok(row.ok_or(Error::NotFound("parking spot"))?.try_get("", "lot_id")?)
}

const IS_OCCUPIED: &str =
    "EXISTS (SELECT 1 FROM reservations a WHERE a.spot_id = s.id AND a.state = 'active')";

/// The spot with the shortest pause after the window, then before it. Spots without a car come first and, for a window
/// that is due, among them those that are kept from others anyway.
async fn choose(
    tx: &Transaction,
    rules: &Parking,
    moment: Moment,
    lot_id: i64,
    window: Window,
) -> Result<Option<i64>> {
    let lock = row_lock(tx, "FOR UPDATE OF s SKIP LOCKED");
    let text = format!(
        "SELECT s.id FROM spots s JOIN lots l ON l.id = s.lot_id
         WHERE s.lot_id = $7 AND l.archived_at IS NULL AND {fits}
         ORDER BY {IS_OCCUPIED}, $3 < $2 AND NOT ({is_kept}),
            COALESCE((SELECT MIN(r.starts_at) FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved'
                AND r.starts_at >= $4), '9999-01-01'),
            COALESCE((SELECT MAX(r.ends_at) FROM reservations r WHERE r.spot_id = s.id
                AND r.state IN ('reserved', 'active') AND r.ends_at <= $3), '1970-01-01') DESC,
            s.number
         LIMIT 1 {lock}",
        fits = fits(),
        is_kept = is_kept(),
    );
    let mut values = window_values(rules, moment, window);
    values.push(lot_id.into());
    let row = tx.query_one_raw(sql(tx, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// Locks the spot, then reads it: a single statement would see it as it was before the lock was granted.
async fn lock_and_read(
    tx: &Transaction,
    rules: &Parking,
    moment: Moment,
    id: i64,
    window: Window,
) -> Result<Placed> {
    let lock = format!("SELECT id FROM spots WHERE id = $1 {}", row_lock(tx, "FOR UPDATE"));
    tx.query_one_raw(sql(tx, &lock, [id.into()])).await?;
    let text = format!(
        "SELECT s.id, s.lot_id, s.retiring, l.price_minor, t.id AS tariff_version_id, t.terms,
            {fits} AS fits, {IS_OCCUPIED} AS is_occupied
         FROM spots s JOIN lots l ON l.id = s.lot_id LEFT JOIN tariff_versions t ON t.id = {version}
         WHERE s.id = $7 AND s.retired_at IS NULL AND l.archived_at IS NULL",
        fits = fits(),
        version = version_in_force("s.lot_id"),
    );
    let mut values = window_values(rules, moment, window);
    values.push(id.into());
    let spot = Placed::find_by_statement(sql(tx, &text, values)).one(tx).await?;
    spot.ok_or(Error::NotFound("parking spot"))
}
