//! Reserving a spot for a window.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Reservation,
    car::Car,
    driver,
    expiry::{self, Scope},
    fair_use,
    place::{LOT_FULL, Place, Placed, SPOT_TAKEN, lot_of, place},
    reservation::{self, NO_OVERLAP},
    start::record_booking,
    unpaid,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    jobs::Change,
    parking::{
        lots::Moment,
        notifications,
        rules::{pricing::Pricing, window::Window},
    },
    platform::{
        db::{Transaction, at, retry_on_conflict, sql, violates},
        idempotency::Idempotency,
    },
};

/// What a driver asks for.
#[derive(Debug, Clone)]
pub struct NewReservation {
    /// The spot, or any of a lot.
    pub place: Place,
    /// The window.
    pub window: Window,
    /// The driver; the caller by default.
    pub user_id: Option<i64>,
    /// The vehicle; the driver's first one by default.
    pub vehicle_id: Option<i64>,
}

/// Reserves a spot for a window that overlaps no other.
///
/// # Errors
/// [`Error::Forbidden`] for another driver, unless an administrator asks; [`Error::Invalid`] for an impossible window;
/// [`Error::NotFound`] for an unknown user, vehicle, lot or spot; [`Error::Conflict`] if the spot is taken or retiring, the lot is
/// full, or a limit for drivers is reached.
pub async fn reserve(
    app: &App,
    who: &Identity,
    new: NewReservation,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let user_id = new.user_id.unwrap_or(who.user_id);
    if user_id != who.user_id && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may reserve for somebody else"));
    }
    let fields = ["/parking_time", "/leaving_time"];
    let problems = new.window.problems(app.clock.now(), app.config.parking.max_length, fields);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let attempt = || insist(|| try_to_reserve(app, who, user_id, &new, &idempotency));
    match attempt().await {
        Err(Error::Conflict { code: SPOT_TAKEN | LOT_FULL, .. }) => {
            let lot_id = lot_of(app.db.read(), new.place).await?;
            expiry::expire(app, Scope::Lot(lot_id)).await?;
            attempt().await
        }
        done => done,
    }
}

/// How often a transaction that looks at a whole lot is tried.
const MAX_ATTEMPTS: usize = 4;

/// Runs a transaction again while other bookings take the chosen spots first.
pub(super) async fn insist<T, F: Future<Output = Result<Option<T>>>>(run: impl Fn() -> F) -> Result<T> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(done) = retry_on_conflict(&run).await? {
            return Ok(done);
        }
    }
    Err(Error::conflict(LOT_FULL, "too many drivers are reserving in this parking lot; try again"))
}

async fn try_to_reserve(
    app: &App,
    who: &Identity,
    user_id: i64,
    new: &NewReservation,
    idempotency: &Idempotency<Reservation>,
) -> Result<Option<Reservation>> {
    let mut change = Change::begin(app).await?;
    driver::lock_to_reserve(change.tx(), user_id).await?;
    let moment = Moment::of(app);
    if !who.is_admin {
        if app.config.require_verified_email
            && !notifications::has_verified_email(change.tx(), user_id).await?
        {
            let message = "open the link in our mail to verify your address, then reserve; a new password, too, verifies it";
            return Err(Error::conflict("email_not_verified", message));
        }
        unpaid::check(change.tx(), app.config.max_unpaid_stays, user_id).await?;
        fair_use::check(change.tx(), &app.config, moment.now, user_id, new.window).await?;
    }
    let spot = place(change.tx(), &app.config.parking, moment, new.place, new.window).await?;
    let Some(spot) = spot else { return Ok(None) };
    let pricing = Pricing::read(Money::from_minor(spot.price_minor), spot.terms.as_deref())?;
    let quote = pricing.quote(new.window);
    let car = Car::chosen(change.tx(), user_id, new.vehicle_id).await?;
    let id = insert(change.tx(), moment.now, car, new.window, &spot, quote).await?;
    let Some(id) = id else { return Ok(None) };
    record_booking(app, &mut change, id, user_id).await?;
    let reservation = reservation::read(change.tx(), id).await?;
    change.commit_with_answer(idempotency, reservation).await.map(Some)
}

/// A window that overlaps another is skipped by PostgreSQL's constraint and refused by SQLite's trigger.
async fn insert(
    tx: &Transaction,
    now: DateTime<Utc>,
    car: Car,
    window: Window,
    spot: &Placed,
    quote: Money,
) -> Result<Option<i64>> {
    let inserted = tx
        .query_one_raw(sql(
            tx,
            "INSERT INTO reservations
                (user_id, lot_id, spot_id, state, starts_at, ends_at, hourly_rate_minor, cost_minor, created_at,
                 plate, tariff_version_id)
             VALUES ($1, $2, $3, 'reserved', $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT DO NOTHING RETURNING id",
            [
                car.user_id.into(),
                spot.lot_id.into(),
                spot.id.into(),
                at(window.from),
                at(window.to),
                spot.price_minor.into(),
                quote.minor().into(),
                at(now),
                car.plate.map(|plate| plate.text).into(),
                spot.tariff_version_id.into(),
            ],
        ))
        .await;
    match inserted {
        Ok(Some(row)) => Ok(Some(row.try_get("", "id")?)),
        Ok(None) => Ok(None),
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
