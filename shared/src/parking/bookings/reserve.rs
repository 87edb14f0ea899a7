//! Reserving a spot for a window in the future.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    Reservation, driver,
    expiry::{self, Scope},
    reservation::{self, NO_OVERLAP},
    start::booked,
};
use crate::{
    app::App,
    base::{
        error::{Error, FieldError, Result},
        identity::Identity,
        money::Money,
    },
    jobs::Change,
    parking::rules::billing,
    platform::{
        db::{Transaction, at, retry_on_conflict, row_lock, sql, violates},
        idempotency::Idempotency,
    },
};

/// How far ahead a window may begin.
const MAX_LEAD: TimeDelta = TimeDelta::days(365);

const TAKEN: &str = "spot_taken";

/// What a driver asks for.
#[derive(Debug, Clone)]
pub struct NewReservation {
    /// The spot.
    pub spot_id: i64,
    /// The beginning of the window.
    pub begin: DateTime<Utc>,
    /// The end of the window.
    pub end: DateTime<Utc>,
    /// The driver; the caller by default.
    pub user_id: Option<i64>,
}

/// Reserves a spot for a window that overlaps no other.
///
/// # Errors
/// [`Error::Forbidden`] for another driver, unless an administrator asks; [`Error::Invalid`] for an impossible window;
/// [`Error::NotFound`] for an unknown user or spot; [`Error::Conflict`] if the spot is taken or retiring.
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
    check_window(app, &new)?;
    let attempt = || retry_on_conflict(|| try_to_reserve(app, user_id, &new, &idempotency));
    match attempt().await {
        Err(Error::Conflict { code: TAKEN, .. }) => {
            expiry::expire(app, Scope::Spot(new.spot_id)).await?;
            attempt().await
        }
        done => done,
    }
}

fn taken() -> Error {
    Error::conflict(TAKEN, "the spot is taken during this window; choose another spot or another time")
}

fn check_window(app: &App, new: &NewReservation) -> Result<()> {
    let now = app.clock.now();
    let max_length = app.config.max_reservation;
    let begin = match new.begin {
        begin if begin < now => Some("must not be in the past".to_owned()),
        begin if begin - now > MAX_LEAD => {
            Some(format!("must be within the next {} days", MAX_LEAD.num_days()))
        }
        _ => None,
    };
    let end = match new.end - new.begin {
        length if length <= TimeDelta::zero() => Some("must be after parking_time".to_owned()),
        length if length > max_length => {
            Some(format!("must be at most {} hours after parking_time", max_length.num_hours()))
        }
        _ => None,
    };
    let wrong: Vec<FieldError> = [("/parking_time", begin), ("/leaving_time", end)]
        .into_iter()
        .filter_map(|(pointer, message)| Some(FieldError { pointer: pointer.into(), message: message? }))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

async fn try_to_reserve(
    app: &App,
    user_id: i64,
    new: &NewReservation,
    idempotency: &Idempotency<Reservation>,
) -> Result<Reservation> {
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    driver::lock(change.tx(), user_id).await?;
    let spot = lock_spot(change.tx(), new.spot_id).await?;
    let hourly_rate = Money::from_minor(spot.price_minor);
    let quote = billing::quote(hourly_rate, new.begin, new.end);
    let id = insert(change.tx(), now, user_id, new, &spot, quote).await?;
    booked(app, &mut change, now, id, user_id).await?;
    let reservation = reservation::read(change.tx(), id).await?;
    change.commit_with_answer(idempotency, reservation).await
}

/// A window that overlaps another is skipped by PostgreSQL's constraint and refused by SQLite's trigger.
async fn insert(
    tx: &Transaction,
    now: DateTime<Utc>,
    user_id: i64,
    new: &NewReservation,
    spot: &Spot,
    quote: Money,
) -> Result<i64> {
    let inserted = tx
        .query_one_raw(sql(
            tx,
            "INSERT INTO reservations
                (user_id, lot_id, spot_id, state, starts_at, ends_at, hourly_rate_minor, cost_minor, created_at)
             VALUES ($1, $2, $3, 'reserved', $4, $5, $6, $7, $8)
             ON CONFLICT DO NOTHING RETURNING id",
            [
                user_id.into(),
                spot.lot_id.into(),
                new.spot_id.into(),
                at(new.begin),
                at(new.end),
                spot.price_minor.into(),
                quote.minor().into(),
                at(now),
            ],
        ))
        .await;
    match inserted {
        Ok(Some(row)) => Ok(row.try_get("", "id")?),
        Ok(None) => Err(taken()),
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => Err(taken()),
        Err(error) => Err(error.into()),
    }
}

#[derive(FromQueryResult)]
struct Spot {
    lot_id: i64,
    retiring: bool,
    price_minor: i64,
}

/// Locks the spot, then reads it with its lot: a single statement would see the lot as it was before the lock was granted.
async fn lock_spot(tx: &Transaction, id: i64) -> Result<Spot> {
    let lock = row_lock(tx, "FOR UPDATE");
    tx.query_one_raw(sql(tx, &format!("SELECT id FROM spots WHERE id = $1 {lock}"), [id.into()])).await?;
    let text = "SELECT s.lot_id, s.retiring, l.price_minor FROM spots s JOIN lots l ON l.id = s.lot_id
        WHERE s.id = $1 AND s.retired_at IS NULL AND l.archived_at IS NULL";
    let spot = Spot::find_by_statement(sql(tx, text, [id.into()])).one(tx).await?;
    match spot.ok_or(Error::NotFound("parking spot"))? {
        spot if spot.retiring => Err(Error::conflict(
            "spot_retiring",
            "the spot is about to be taken out of service; choose another one",
        )),
        spot => Ok(spot),
    }
}
