//! Reserving a spot for a coming window.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    NO_OVERLAP, Reservation, billing,
    expiry::{self, Among},
    state::State,
};
use crate::{
    app::App,
    base::{
        error::{Error, FieldError, Result},
        identity::Identity,
        money::Money,
    },
    jobs::queue,
    parking::{activity, notifications},
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, retry_on_conflict, row_lock, sql, violates},
        idempotency::Idempotency,
    },
};

/// How far ahead a window may begin.
const FURTHEST: TimeDelta = TimeDelta::days(365);

/// What a driver asks for.
#[derive(Debug, Clone)]
pub struct NewReservation {
    /// Which spot.
    pub spot_id: i64,
    /// The begin of the window.
    pub begin: DateTime<Utc>,
    /// Its end.
    pub end: DateTime<Utc>,
    /// For whom; for the caller without.
    pub user_id: Option<i64>,
}

/// Keeps a spot for a window that nobody else has.
///
/// # Errors
/// [`Error::Forbidden`] to reserve for others, unless for administrators; [`Error::Invalid`] for a window that cannot be;
/// [`Error::NotFound`] without such a user or spot; [`Error::Conflict`] when the spot is taken or about to go.
pub async fn reserve(
    app: &App,
    who: &Identity,
    new: NewReservation,
    keep: Idempotency<Reservation>,
) -> Result<Reservation> {
    let user_id = new.user_id.unwrap_or(who.user_id);
    if user_id != who.user_id && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may reserve for somebody else"));
    }
    check_window(app, &new)?;
    let attempt = || retry_on_conflict(|| try_to_reserve(app, user_id, &new, &keep));
    let done = match attempt().await {
        Err(Error::Conflict { code: TAKEN, .. }) => {
            expiry::expire(app, Among::Spot(new.spot_id)).await?;
            attempt().await
        }
        done => done,
    };
    let reservation = done?;
    app.counters.record(Event::Reservation);
    app.cache.invalidate(&[Group::Occupancy, Group::User(user_id)]).await;
    Ok(reservation)
}

const TAKEN: &str = "spot_taken";

fn taken() -> Error {
    Error::conflict(TAKEN, "the spot is taken during this window; choose another spot or another time")
}

fn check_window(app: &App, new: &NewReservation) -> Result<()> {
    let now = app.clock.now();
    let longest = app.config.max_reservation;
    let begin = match new.begin {
        begin if begin < now => Some("must not be in the past".to_owned()),
        begin if begin - now > FURTHEST => {
            Some(format!("must be within the next {} days", FURTHEST.num_days()))
        }
        _ => None,
    };
    let end = match new.end - new.begin {
        length if length <= TimeDelta::zero() => Some("must be after parking_time".to_owned()),
        length if length > longest => {
            Some(format!("must be at most {} hours after parking_time", longest.num_hours()))
        }
        _ => None,
    };
    let wrong = [("/parking_time", begin), ("/leaving_time", end)];
    let wrong: Vec<FieldError> = wrong
        .into_iter()
        .filter_map(|(pointer, message)| Some(FieldError { pointer: pointer.into(), message: message? }))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

async fn try_to_reserve(
    app: &App,
    user_id: i64,
    new: &NewReservation,
    keep: &Idempotency<Reservation>,
) -> Result<Reservation> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    lock_user(&tx, user_id).await?;
    let spot = lock_spot(&tx, new.spot_id).await?;
    let hourly_rate = Money::from_minor(spot.price_minor);
    let quote = billing::quote(hourly_rate, new.begin, new.end);
    let inserted = tx
        .query_one_raw(sql(
            &tx,
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
    // PostgreSQL passes over the row, SQLite's trigger refuses it.
    let id: i64 = match inserted {
        Ok(Some(row)) => row.try_get("", "id")?,
        Ok(None) => return Err(taken()),
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => return Err(taken()),
        Err(error) => return Err(error.into()),
    };
    activity::record(&tx, now, user_id, activity::Kind::Booking, Some(id.to_string())).await?;
    let told = notifications::tell_of_booking(app, &tx, now, id, user_id).await?;
    let reservation = Reservation {
        id,
        user_id,
        lot_id: spot.lot_id,
        lot_name: spot.lot_name,
        lot_address: spot.lot_address,
        spot_id: new.spot_id,
        state: State::Reserved,
        parking_time: new.begin,
        leaving_time: Some(new.end),
        hourly_rate,
        cost: quote,
        transaction_id: None,
        payment_method: None,
    };
    keep.store(&tx, &reservation).await?;
    tx.commit().await?;
    queue::announce_soon(app, told);
    Ok(reservation)
}

/// Keeps the user from being deleted meanwhile.
async fn lock_user(tx: &Transaction, user_id: i64) -> Result<()> {
    let lock = row_lock(tx, "FOR SHARE");
    let text = format!("SELECT 1 AS one FROM users WHERE id = $1 AND deleted_at IS NULL {lock}");
    let user = tx.query_one_raw(sql(tx, &text, [user_id.into()])).await?;
    user.map(drop).ok_or(Error::NotFound("user"))
}

#[derive(FromQueryResult)]
struct Spot {
    lot_id: i64,
    retiring: bool,
    price_minor: i64,
    lot_name: String,
    lot_address: String,
}

/// Locks the spot, then reads it with its lot: a statement that waited for the lock would see the lot as it was before.
async fn lock_spot(tx: &Transaction, id: i64) -> Result<Spot> {
    let lock = row_lock(tx, "FOR UPDATE");
    tx.query_one_raw(sql(tx, &format!("SELECT id FROM spots WHERE id = $1 {lock}"), [id.into()])).await?;
    let text =
        "SELECT s.lot_id, s.retiring, l.price_minor, l.location_name AS lot_name, l.address AS lot_address
        FROM spots s JOIN lots l ON l.id = s.lot_id
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
