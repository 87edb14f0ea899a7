//! Starting a session: choosing a free spot and taking it.

use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{Reservation, car::Car, driver, reservation};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{
        activity,
        lots::{
            self, Moment,
            availability::{DISPLACED, HOLDS, count_free_now, free_spots},
            version_in_force,
        },
        notifications,
    },
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, row_lock, sql},
    },
};

/// Other bookings may take the chosen spot this often before the driver is told that none is free.
pub(super) const MAX_ATTEMPTS: usize = 20;

/// A free spot, locked where rows can be locked.
#[derive(FromQueryResult)]
pub(super) struct ChosenSpot {
    pub(super) id: i64,
    pub(super) lot_id: i64,
    price_minor: i64,
}

const COLUMNS: &str = "s.id, s.lot_id, l.price_minor";

/// Whether the lot has displaced windows, for which spots must be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Displaced {
    /// It had none when the spot was chosen; the session starts only if that is still so.
    None,
    /// Enough other free spots are locked for them.
    Covered,
}

/// Chooses the free spot whose next window begins latest, skipping those that other bookings have locked.
pub(super) async fn choose_spot(
    tx: &Transaction,
    lot_id: i64,
    moment: Moment,
) -> Result<Option<(ChosenSpot, Displaced)>> {
    // A spot without any window is best, and found without looking at the others.
    if let Some(spot) = lock_free_spots(tx, lot_id, moment, &unreserved(), "s.number", 1).await?.pop() {
        return Ok(Some((spot, Displaced::None)));
    }
    // Most bookings that come this far find the lot full.
    if count_free_now(tx, lot_id, moment).await? <= 0 {
        return Ok(None);
    }
    if count_displaced(tx, lot_id, moment).await? > 0 {
        return Ok(choose_beside_displaced(tx, lot_id, moment).await?.map(|spot| (spot, Displaced::Covered)));
    }
    let spot = lock_free_spots(tx, lot_id, moment, "", LATEST_NEXT_WINDOW, 1).await?.pop();
    Ok(spot.map(|spot| (spot, Displaced::None)))
}

/// Of the free spots, those without any window, if no window of the lot is displaced.
pub(super) fn unreserved() -> String {
    format!(
        "AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved')
         AND NOT EXISTS (SELECT 1 FROM {DISPLACED} AND w.lot_id = $3)"
    )
}

const LATEST_NEXT_WINDOW: &str = "COALESCE((SELECT MIN(r.starts_at) FROM reservations r
    WHERE r.spot_id = s.id AND r.state = 'reserved'), '9999-01-01') DESC, s.number";

/// One booking at a time, which locks a free spot for each displaced window besides its own.
async fn choose_beside_displaced(
    tx: &Transaction,
    lot_id: i64,
    moment: Moment,
) -> Result<Option<ChosenSpot>> {
    lots::lock(tx, lot_id).await?;
    let displaced = count_displaced(tx, lot_id, moment).await?;
    let mut spots = lock_free_spots(tx, lot_id, moment, "", LATEST_NEXT_WINDOW, displaced + 1).await?;
    let is_enough = i64::try_from(spots.len()).is_ok_and(|found| found > displaced);
    Ok(is_enough.then(|| spots.swap_remove(0)))
}

/// What became of locking free spots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spares {
    Locked,
    /// There are not as many.
    Missing,
    /// There are, but other bookings have just locked some.
    Contended,
}

/// Locks `count` free spots other than `spot_id`.
pub(super) async fn lock_spares(
    tx: &Transaction,
    lot_id: i64,
    moment: Moment,
    spot_id: i64,
    count: i64,
) -> Result<Spares> {
    if count == 0 {
        return Ok(Spares::Locked);
    }
    let other = format!("AND s.id <> {spot_id}");
    let locked = lock_free_spots(tx, lot_id, moment, &other, "s.number", count).await?;
    if i64::try_from(locked.len()).is_ok_and(|locked| locked >= count) {
        return Ok(Spares::Locked);
    }
    let text = format!("SELECT COUNT(*) AS n {} {other}", free_spots());
    let values = moment.values().into_iter().chain([lot_id.into()]);
    let free: i64 = match tx.query_one_raw(sql(tx, &text, values)).await? {
        Some(row) => row.try_get("", "n")?,
        None => 0,
    };
    Ok(if free >= count { Spares::Contended } else { Spares::Missing })
}

async fn lock_free_spots(
    tx: &Transaction,
    lot_id: i64,
    moment: Moment,
    condition: &str,
    order: &str,
    limit: i64,
) -> Result<Vec<ChosenSpot>> {
    let (free, lock) = (free_spots(), row_lock(tx, "FOR UPDATE OF s SKIP LOCKED"));
    let text = format!("SELECT {COLUMNS} {free} {condition} ORDER BY {order} LIMIT $4 {lock}");
    let values = moment.values().into_iter().chain([lot_id.into(), limit.into()]);
    Ok(ChosenSpot::find_by_statement(sql(tx, &text, values)).all(tx).await?)
}

/// The windows of the lot that are due while another car is on their spot.
pub(super) async fn count_displaced(tx: &impl ConnectionTrait, lot_id: i64, moment: Moment) -> Result<i64> {
    let text = format!("SELECT COUNT(*) AS n FROM {DISPLACED} AND w.lot_id = $3");
    let values = moment.values().into_iter().chain([lot_id.into()]);
    let row = tx.query_one_raw(sql(tx, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// The spot with this id, free or not.
pub(super) async fn this_spot(tx: &Transaction, id: i64) -> Result<ChosenSpot> {
    let text = format!("SELECT {COLUMNS} FROM spots s JOIN lots l ON l.id = s.lot_id WHERE s.id = $1");
    let spot = ChosenSpot::find_by_statement(sql(tx, &text, [id.into()])).one(tx).await?;
    spot.ok_or(Error::NotFound("parking spot"))
}

/// Starts a session on the spot. `None` if another driver took it first.
pub(super) async fn start(
    app: &App,
    change: &mut Change,
    moment: Moment,
    car: &Car,
    (spot, displaced): (ChosenSpot, Displaced),
) -> Result<Option<Reservation>> {
    let Some(id) = insert(change.tx(), moment, car, &spot, displaced).await? else {
        if !car.is_house && !driver::exists(change.tx(), car.user_id).await? {
            return Err(Error::Unauthenticated("the account has been deleted"));
        }
        return car.check_not_parked(change.tx()).await.map(|()| None);
    };
    if car.is_house {
        change.invalidates([Group::Occupancy]);
        change.counts(Event::Reservation);
    } else {
        record_booking(app, change, id, car.user_id).await?;
    }
    Ok(Some(reservation::read(change.tx(), id).await?))
}

/// Records the activity, enqueues the confirmations, and invalidates the caches of a new booking.
pub(super) async fn record_booking(app: &App, change: &mut Change, id: i64, user_id: i64) -> Result<()> {
    let now = app.clock.now();
    activity::record(change.tx(), now, user_id, activity::Kind::Booking, Some(id.to_string())).await?;
    notifications::confirm_booking(app, change, id, user_id).await?;
    change.invalidates([Group::Occupancy, Group::User(user_id)]);
    change.counts(Event::Reservation);
    Ok(())
}

/// The plate of the first vehicle of user `u`.
pub(super) const FIRST_VEHICLE: &str =
    "(SELECT v.plate FROM vehicles v WHERE v.user_id = u.id ORDER BY v.position, v.id LIMIT 1)";
/// The form in which it is compared.
pub(super) const FIRST_KEY: &str =
    "(SELECT v.plate_key FROM vehicles v WHERE v.user_id = u.id ORDER BY v.position, v.id LIMIT 1)";

/// Inserts nothing for a deleted user (it waits for a pending deletion), for a driver or a car that is parked, while the
/// spot's previous session has not ended (it does not wait for a pending release), or if a window has been reserved meanwhile
/// that needs the spot. With several processes, the previous session may have ended a little in this one's future; the new
/// session then starts at that time.
async fn insert(
    tx: &Transaction,
    moment: Moment,
    car: &Car,
    spot: &ChosenSpot,
    displaced: Displaced,
) -> Result<Option<i64>> {
    let lock = row_lock(tx, "FOR SHARE OF u");
    let text = format!(
        "INSERT INTO reservations
            (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, tariff_version_id, created_at, house,
             plate, plate_key)
         SELECT u.id, $4, $5, 'active', since.at, since.at, $6, {version}, $1, u.house_lot_id IS NOT NULL,
            COALESCE($8, {FIRST_VEHICLE}), CASE WHEN CAST($8 AS TEXT) IS NULL THEN {FIRST_KEY} ELSE $9 END
         FROM users u, (
            SELECT COALESCE(MAX(left_at), $1) AS at FROM reservations
            WHERE spot_id = $5 AND state = 'completed' AND left_at > $1) since
         WHERE u.id = $3 AND (u.deleted_at IS NULL OR u.house_lot_id = $4)
           AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = $5 AND {HOLDS})
           AND ($7 OR NOT EXISTS (SELECT 1 FROM {DISPLACED} AND w.lot_id = $4)) {lock}
         ON CONFLICT DO NOTHING RETURNING id",
        version = version_in_force("$4"),
    );
    let (plate, key) = car.plate.clone().map(|plate| (plate.text, plate.key)).unzip();
    let values: [Value; 7] = [
        car.user_id.into(),
        spot.lot_id.into(),
        spot.id.into(),
        spot.price_minor.into(),
        (displaced == Displaced::Covered).into(),
        plate.into(),
        key.into(),
    ];
    let values = moment.values().into_iter().chain(values);
    let row = tx.query_one_raw(sql(tx, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}
