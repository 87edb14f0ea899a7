//! Arrivals and departures at the barrier, where a car is known by its plate.

use sea_orm::ConnectionTrait;

use super::{
    book::park,
    car::{Car, Plate, car_of_driver},
    duty::check_on_duty,
    house,
    occupy::{Arriving, arrive},
    release::release_spot,
    reservation::Reservation,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    parking::rules::payment::Payment,
    platform::{
        db::{at, sql},
        idempotency::Idempotency,
    },
};

/// A car arrives. If it belongs to a driver, the stay is theirs, and a reservation that they have at this lot begins. If
/// not, the stay belongs to the house account of the lot.
///
/// # Errors
/// [`Error::Invalid`] for a plate that is none; [`Error::NotFound`] for an unknown lot; [`Error::Forbidden`] at a lot of
/// others; [`Error::Conflict`] if no spot is free, or the car or its driver is parked already.
pub async fn arrive_by_plate(
    app: &App,
    who: &Identity,
    lot_id: i64,
    plate: &str,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let (plate, db) = (Plate::parse(plate)?, app.db.read());
    check_on_duty(db, who, lot_id).await?;
    let Some(car) = car_of_driver(db, &plate).await? else {
        let user_id = house::account_of(app, lot_id).await?;
        let car = Car { user_id, plate: Some(plate), is_house: true };
        return park(app, &car, lot_id, &idempotency).await;
    };
    let arrived = match window_of(app, car.user_id, lot_id).await? {
        Some(reservation_id) => {
            let plate = car.plate.as_ref();
            arrive(app, &Arriving { who, reservation_id, plate, idempotency: &idempotency }).await
        }
        None => park(app, &car, lot_id, &idempotency).await,
    };
    arrived.map_err(for_attendants)
}

/// Says of the driver what the others say to them.
fn for_attendants(error: Error) -> Error {
    match error {
        Error::Conflict { code: code @ "already_parked", .. } => {
            Error::conflict(code, "the driver of this car has a running session; end it first")
        }
        Error::Unauthenticated(_) => {
            Error::conflict("driver_deleted", "the account has just been deleted; try again")
        }
        other => other,
    }
}

/// The reservation of a driver at a lot for which they can arrive now: the one that begins first.
async fn window_of(app: &App, user_id: i64, lot_id: i64) -> Result<Option<i64>> {
    let (db, now, rules) = (app.db.read(), app.clock.now(), &app.config.parking);
    let text = "SELECT id FROM reservations
        WHERE user_id = $1 AND lot_id = $2 AND state = 'reserved' AND starts_at <= $3 AND starts_at >= $4 AND ends_at > $5
        ORDER BY starts_at, id LIMIT 1";
    let (opens, missed) = (now + rules.early_arrival, now - rules.no_show_after);
    let values = [user_id.into(), lot_id.into(), at(opens), at(missed), at(now)];
    let row = db.query_one_raw(sql(db, text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// A car leaves: its session ends, as [`release_spot`]. The payment is what the attendant took.
///
/// # Errors
/// [`Error::NotFound`] if no such car is parked at the lot, or for an unknown lot; [`Error::Forbidden`] at a lot of others;
/// otherwise as [`release_spot`].
pub async fn depart_by_plate(
    app: &App,
    who: &Identity,
    lot_id: i64,
    plate: &str,
    payment: Payment,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let (plate, db) = (Plate::parse(plate)?, app.db.read());
    check_on_duty(db, who, lot_id).await?;
    // A driver with several vehicles may have come with another one than the reservation names.
    let text =
        "SELECT r.id FROM reservations r WHERE r.lot_id = $1 AND r.state = 'active' AND (r.plate_key = $2
            OR r.user_id = (SELECT v.user_id FROM vehicles v WHERE v.plate_key = $2))
        ORDER BY CASE WHEN r.plate_key = $2 THEN 0 ELSE 1 END LIMIT 1";
    let row = db.query_one_raw(sql(db, text, [lot_id.into(), plate.key.into()])).await?;
    let id = row.ok_or(Error::NotFound("parked car with this plate"))?.try_get("", "id")?;
    release_spot(app, who, id, payment, idempotency).await
}
