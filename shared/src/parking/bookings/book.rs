//! Booking a spot without a reservation: the session starts at once.

use sea_orm::ConnectionTrait;

use super::{
    Reservation,
    car::Car,
    expiry::{self, Scope},
    fast_path,
    start::{MAX_ATTEMPTS, choose_spot, start},
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::lots::{self, Moment, availability::count_free_now},
    platform::{
        db::{Engine, retry_on_conflict},
        idempotency::Idempotency,
    },
};

/// Starts a session of a driver, by default with their first vehicle, on the free spot of the lot whose next window begins
/// latest.
///
/// # Errors
/// [`Error::NotFound`] for an unknown lot or vehicle; [`Error::Conflict`] if it is full, or the driver or the car is already parked.
pub async fn book_spot(
    app: &App,
    user_id: i64,
    lot_id: i64,
    vehicle_id: Option<i64>,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let car = Car::chosen(app.db.read(), user_id, vehicle_id).await?;
    park(app, &car, lot_id, &idempotency).await
}

/// Starts a session on the free spot of the lot whose next window begins latest.
///
/// # Errors
/// [`Error::NotFound`] for an unknown lot; [`Error::Conflict`] if it is full, or the driver or the car is already parked.
pub(super) async fn park(
    app: &App,
    car: &Car,
    lot_id: i64,
    idempotency: &Idempotency<Reservation>,
) -> Result<Reservation> {
    match book(app, car, lot_id, idempotency).await {
        Err(full @ Error::Conflict { code: "lot_full", .. }) => {
            let expired = expiry::expire(app, Scope::Lot(lot_id)).await?;
            // Or another booking has expired them meanwhile, or had only just locked the free spots. Once more, but not
            // again and again: in a rush, the winners would wait behind everybody else.
            let retries = expired > 0 || count_free_now(app.db.read(), lot_id, Moment::of(app)).await? > 0;
            if retries { book(app, car, lot_id, idempotency).await } else { Err(full) }
        }
        done => done,
    }
}

async fn book(
    app: &App,
    car: &Car,
    lot_id: i64,
    idempotency: &Idempotency<Reservation>,
) -> Result<Reservation> {
    if idempotency.is_none()
        && let Some(reservation) = retry_on_conflict(|| fast_path::book(app, car, lot_id)).await?
    {
        return Ok(reservation);
    }
    for _ in 0..MAX_ATTEMPTS {
        let booked = retry_on_conflict(|| try_to_book(app, car, lot_id, idempotency)).await?;
        if let Some(reservation) = booked {
            return Ok(reservation);
        }
    }
    let detail = "too many drivers are booking in this parking lot; try again or try another one";
    Err(Error::conflict("lot_full", detail))
}

/// `None` if another driver took the chosen spot first.
async fn try_to_book(
    app: &App,
    car: &Car,
    lot_id: i64,
    idempotency: &Idempotency<Reservation>,
) -> Result<Option<Reservation>> {
    // On SQLite every transaction waits for all others, so a full lot is found by reading.
    let db = app.db.read();
    if app.db.engine() == Engine::Sqlite && count_free_now(db, lot_id, Moment::of(app)).await? <= 0 {
        return Err(no_spot(db, car, lot_id).await);
    }
    let mut change = Change::begin(app).await?;
    let Some(chosen) = choose_spot(change.tx(), lot_id, Moment::of(app)).await? else {
        drop(change);
        return Err(no_spot(db, car, lot_id).await);
    };
    // Read again after the lock: the spot's previous session may have ended while this waited for it.
    match start(app, &mut change, Moment::of(app), car, chosen).await? {
        Some(reservation) => change.commit_with_answer(idempotency, reservation).await.map(Some),
        None => Ok(None),
    }
}

async fn no_spot(db: &impl ConnectionTrait, car: &Car, lot_id: i64) -> Error {
    match car.check_not_parked(db).await {
        Ok(()) => lots::explain_no_spot(db, lot_id).await,
        Err(error) => error,
    }
}
