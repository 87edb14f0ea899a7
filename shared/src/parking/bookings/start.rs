//! Starting a session: choosing a free spot and taking it.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    driver,
    reservation::{self, Reservation},
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{activity, lots::FREE_SPOTS, notifications},
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, row_lock, sql},
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

/// The first free spot of the lot that no other booking has locked.
pub(super) async fn choose_spot(tx: &Transaction, lot_id: i64) -> Result<Option<ChosenSpot>> {
    let lock = row_lock(tx, "FOR UPDATE OF s SKIP LOCKED");
    let text = format!("SELECT s.id, s.lot_id, l.price_minor {FREE_SPOTS} ORDER BY s.number LIMIT 1 {lock}");
    Ok(ChosenSpot::find_by_statement(sql(tx, &text, [lot_id.into()])).one(tx).await?)
}

/// The spot with this id, free or not.
pub(super) async fn this_spot(tx: &Transaction, id: i64) -> Result<ChosenSpot> {
    let text =
        "SELECT s.id, s.lot_id, l.price_minor FROM spots s JOIN lots l ON l.id = s.lot_id WHERE s.id = $1";
    let spot = ChosenSpot::find_by_statement(sql(tx, text, [id.into()])).one(tx).await?;
    spot.ok_or(Error::NotFound("parking spot"))
}

/// Starts a session on the spot. `None` if another driver took it first.
pub(super) async fn start(
    app: &App,
    change: &mut Change,
    now: DateTime<Utc>,
    user_id: i64,
    spot: ChosenSpot,
) -> Result<Option<Reservation>> {
    let Some(id) = insert(change.tx(), now, user_id, &spot).await? else {
        if !driver::exists(change.tx(), user_id).await? {
            return Err(Error::Unauthenticated("the account has been deleted"));
        }
        let is_parked = driver::is_parked(change.tx(), user_id).await?;
        return if is_parked { Err(driver::already_parked()) } else { Ok(None) };
    };
    booked(app, change, now, id, user_id).await?;
    Ok(Some(reservation::read(change.tx(), id).await?))
}

/// What follows from every new booking.
pub(super) async fn booked(
    app: &App,
    change: &mut Change,
    now: DateTime<Utc>,
    id: i64,
    user_id: i64,
) -> Result<()> {
    activity::record(change.tx(), now, user_id, activity::Kind::Booking, Some(id.to_string())).await?;
    notifications::confirm_booking(app, change, id, user_id).await?;
    change.invalidates([Group::Occupancy, Group::User(user_id)]);
    change.counts(Event::Reservation);
    Ok(())
}

/// Inserts nothing for a deleted user (it waits for a pending deletion), or while the spot's previous session has not
/// ended (it does not wait for a pending release). With several processes, the previous session may have ended a little
/// in this one's future; the new session then starts at that time.
async fn insert(
    tx: &Transaction,
    now: DateTime<Utc>,
    user_id: i64,
    spot: &ChosenSpot,
) -> Result<Option<i64>> {
    let lock = row_lock(tx, "FOR SHARE OF u");
    let text = format!(
        "INSERT INTO reservations
            (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at)
         SELECT u.id, $2, $3, 'active', since.at, since.at, $5, $4 FROM users u, (
            SELECT COALESCE(MAX(left_at), $4) AS at FROM reservations
            WHERE spot_id = $3 AND state = 'completed' AND left_at > $4) since
         WHERE u.id = $1 AND u.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = $3 AND r.state = 'active') {lock}
         ON CONFLICT DO NOTHING RETURNING id"
    );
    let values = [user_id.into(), spot.lot_id.into(), spot.id.into(), at(now), spot.price_minor.into()];
    let row = tx.query_one_raw(sql(tx, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}
