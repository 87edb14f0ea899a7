//! Booking, arriving, leaving: the spot is chosen and the bill is made here; the database guards both.

pub mod attendant;
pub mod billing;
mod closing;
pub mod history;
pub mod payment;
pub mod state;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};

use self::state::{Event, State};
pub use self::{closing::close_all, payment::Payment};
use crate::{
    accounts, activity,
    app::App,
    cache::{self, Group},
    counters,
    db::{at, row_lock, sql, violates},
    error::{Error, Result},
    idempotency::Keep,
    jobs::{ledger, queue},
    lots::{self, FREE_SPOTS},
    money::Money,
    notifications,
};

/// A reservation with its place, as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub user_id: i64,
    /// Where.
    pub lot_id: i64,
    /// Name of the lot.
    pub lot_name: String,
    /// Address of the lot.
    pub lot_address: String,
    /// The spot.
    pub spot_id: i64,
    /// Where it stands.
    pub state: State,
    /// Arrival, or the begin of the window.
    pub parking_time: DateTime<Utc>,
    /// Departure, or the end of a window that is still to come.
    pub leaving_time: Option<DateTime<Utc>>,
    /// Per started hour, as it was when booked.
    pub hourly_rate: Money,
    /// The bill, nothing while it runs.
    pub cost: Money,
    /// Of the payment.
    pub transaction_id: Option<String>,
    /// Of the payment.
    pub payment_method: Option<String>,
}

/// A finished session and its bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The reservation, completed.
    pub reservation: Reservation,
    /// Arrival to departure in hours, two decimal places.
    pub hours: f64,
    /// Hours on the bill.
    pub charged_hours: i64,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    user_id: i64,
    lot_id: i64,
    spot_id: i64,
    state: String,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    hourly_rate_minor: i64,
    cost_minor: i64,
    transaction_id: Option<String>,
    payment_method: Option<String>,
    lot_name: String,
    lot_address: String,
}

impl TryFrom<Row> for Reservation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state: State = row.state.parse()?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            lot_id: row.lot_id,
            lot_name: row.lot_name,
            lot_address: row.lot_address,
            spot_id: row.spot_id,
            state,
            parking_time: row.arrived_at.unwrap_or(row.starts_at),
            leaving_time: row.left_at.or(row.ends_at.filter(|_| state != State::Active)),
            hourly_rate: Money::from_minor(row.hourly_rate_minor),
            cost: Money::from_minor(row.cost_minor),
            transaction_id: row.transaction_id,
            payment_method: row.payment_method,
        })
    }
}

const SELECT: &str = "
    SELECT r.id, r.user_id, r.lot_id, r.spot_id, r.state, r.starts_at, r.ends_at, r.arrived_at, r.left_at,
        r.hourly_rate_minor, r.cost_minor, r.transaction_id, r.payment_method,
        l.location_name AS lot_name, l.address AS lot_address
    FROM reservations r JOIN lots l ON l.id = r.lot_id";

/// The one active session a user may have, by its index in PostgreSQL and its column in SQLite.
const ONE_A_USER: (&str, &str) = ("reservations_one_active_a_user", "reservations.user_id");

/// The same for spots, and the rule that keeps windows apart.
const ONE_A_SPOT: (&str, &str) = ("reservations_one_active_a_spot", "reservations.spot_id");
const NO_OVERLAP: &str = "reservations_no_overlap";

/// Other bookings may win the chosen spot this often before a driver is told that the lot is full.
const MOST_TRIES: usize = 20;

/// Starts a session now, without end, on the first spot that nobody holds or has reserved.
///
/// # Errors
/// [`Error::NotFound`] without such a lot; [`Error::Conflict`] when it is full or the driver is parked already.
pub async fn book_spot(app: &App, user_id: i64, lot_id: i64, keep: Keep<Reservation>) -> Result<Reservation> {
    for _ in 0..MOST_TRIES {
        if let Some(booked) = try_to_book(app, user_id, lot_id, &keep).await? {
            counters::happened(app, counters::Event::Reservation);
            cache::changed(app, &[Group::Occupancy, Group::User(user_id)]).await;
            return Ok(booked);
        }
    }
    Err(Error::conflict(
        "lot_full",
        "too many drivers are booking this parking lot; try again or try another one",
    ))
}

/// `None` when somebody else was faster at the chosen spot.
async fn try_to_book(
    app: &App,
    user_id: i64,
    lot_id: i64,
    keep: &Keep<Reservation>,
) -> Result<Option<Reservation>> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let Some(spot) = choose_spot(&tx, lot_id).await? else {
        if is_parked(&tx, user_id).await? {
            return Err(already_parked());
        }
        return Err(lots::explain_no_spot(&tx, lot_id).await);
    };
    // Waits for who is deleting the user, and then inserts nothing.
    let living = row_lock(&tx, "FOR SHARE");
    let row = tx
        .query_one_raw(sql(
            &tx,
            &format!(
                "INSERT INTO reservations
                    (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at)
                 SELECT u.id, $2, $3, 'active', $4, $4, $5, $4 FROM users u
                 WHERE u.id = $1 AND u.deleted_at IS NULL {living}
                 ON CONFLICT DO NOTHING RETURNING id"
            ),
            [user_id.into(), lot_id.into(), spot.id.into(), at(now), spot.price_minor.into()],
        ))
        .await?;
    let Some(row) = row else {
        accounts::must_live(&tx, user_id).await?;
        return if is_parked(&tx, user_id).await? { Err(already_parked()) } else { Ok(None) };
    };
    let id: i64 = row.try_get("", "id")?;
    activity::record(&tx, now, user_id, activity::Kind::Booking, Some(id.to_string())).await?;
    let confirmation = ledger::insert(&tx, now, &notifications::confirmation(id, user_id)?).await?;
    let reservation = Reservation {
        id,
        user_id,
        lot_id,
        lot_name: spot.lot_name,
        lot_address: spot.lot_address,
        spot_id: spot.id,
        state: State::Active,
        parking_time: now,
        leaving_time: None,
        hourly_rate: Money::from_minor(spot.price_minor),
        cost: Money::default(),
        transaction_id: None,
        payment_method: None,
    };
    keep.answer(&tx, &reservation).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![confirmation]);
    Ok(Some(reservation))
}

#[derive(FromQueryResult)]
struct ChosenSpot {
    id: i64,
    price_minor: i64,
    lot_name: String,
    lot_address: String,
}

/// The first free spot, locked where rows are; spots that others are just taking are passed over.
async fn choose_spot(tx: &DatabaseTransaction, lot_id: i64) -> Result<Option<ChosenSpot>> {
    let lock = row_lock(tx, "FOR UPDATE OF s SKIP LOCKED");
    let text = format!(
        "SELECT s.id, l.price_minor, l.location_name AS lot_name, l.address AS lot_address {FREE_SPOTS} LIMIT 1 {lock}"
    );
    Ok(ChosenSpot::find_by_statement(sql(tx, &text, [lot_id.into()])).one(tx).await?)
}

async fn is_parked(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations WHERE user_id = $1 AND state = 'active'";
    Ok(db.query_one_raw(sql(db, text, [user_id.into()])).await?.is_some())
}

fn already_parked() -> Error {
    Error::conflict("already_parked", "you have a running session; release its spot before you book another")
}

/// The driver arrives at a reserved spot. While the spot is overstayed, another free one of the lot is given.
///
/// # Errors
/// [`Error::NotFound`] for a reservation of somebody else; [`Error::Conflict`] when it cannot start.
pub async fn occupy_spot(app: &App, user_id: i64, id: i64) -> Result<Reservation> {
    for _ in 0..MOST_TRIES {
        if let Some(occupied) = try_to_occupy(app, user_id, id).await? {
            return Ok(occupied);
        }
    }
    Err(overstayed())
}

fn overstayed() -> Error {
    Error::conflict("spot_overstayed", "the reserved spot is still occupied and no other one is free")
}

/// `None` when somebody else was faster at the spot.
async fn try_to_occupy(app: &App, user_id: i64, id: i64) -> Result<Option<Reservation>> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let reservation = lock_own(&tx, user_id, id).await?;
    let next = after(&reservation, Event::Occupy)?;
    if now < reservation.parking_time {
        let begin = crate::time::rfc3339(reservation.parking_time);
        return Err(Error::conflict("too_early", format!("the reservation begins at {begin}")));
    }
    let spot_id = if is_overstayed(&tx, reservation.spot_id).await? {
        let free = choose_spot(&tx, reservation.lot_id).await?;
        free.map(|spot| spot.id).ok_or_else(overstayed)?
    } else {
        reservation.spot_id
    };
    let updated = tx
        .execute_raw(sql(
            &tx,
            "UPDATE reservations SET state = $2, arrived_at = $3, spot_id = $4 WHERE id = $1",
            [id.into(), next.as_str().into(), at(now), spot_id.into()],
        ))
        .await;
    match updated {
        Ok(_) => {}
        Err(error) if violates(&error, ONE_A_USER.0, ONE_A_USER.1) => return Err(already_parked()),
        Err(error) if violates(&error, ONE_A_SPOT.0, ONE_A_SPOT.1) => return Ok(None),
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    Ok(Some(Reservation { state: next, parking_time: now, leaving_time: None, spot_id, ..reservation }))
}

async fn is_overstayed(db: &impl ConnectionTrait, spot_id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations WHERE spot_id = $1 AND state = 'active'";
    Ok(db.query_one_raw(sql(db, text, [spot_id.into()])).await?.is_some())
}

/// The driver leaves: the bill is made and the spot is free. Repeating it changes nothing and answers the same.
///
/// # Errors
/// [`Error::NotFound`] for a reservation of somebody else; [`Error::Conflict`] when there is no session to end,
/// or it was paid by another transaction.
pub async fn release_spot(app: &App, user_id: i64, id: i64, payment: Payment) -> Result<Release> {
    let payment = payment.checked()?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let mut reservation = lock_own(&tx, user_id, id).await?;
    if reservation.state == State::Completed {
        return match (&payment.transaction_id, &reservation.transaction_id) {
            (Some(given), Some(stored)) if given == stored => Ok(released(reservation)),
            (None, _) => Ok(released(reservation)),
            _ => Err(Error::conflict(
                "paid_otherwise",
                "the session has ended and was paid by another transaction",
            )),
        };
    }
    reservation.state = after(&reservation, Event::Release)?;
    let left = now.max(reservation.parking_time);
    let hours = billing::charged_hours(reservation.parking_time, left);
    reservation.leaving_time = Some(left);
    reservation.cost = billing::cost(reservation.hourly_rate, hours);
    reservation.transaction_id = payment.transaction_id;
    reservation.payment_method = payment.method;
    tx.execute_raw(sql(
        &tx,
        "UPDATE reservations SET state = $2, left_at = $3, cost_minor = $4, transaction_id = $5, payment_method = $6
         WHERE id = $1",
        [
            id.into(),
            reservation.state.as_str().into(),
            at(left),
            reservation.cost.minor().into(),
            reservation.transaction_id.clone().into(),
            reservation.payment_method.clone().into(),
        ],
    ))
    .await?;
    activity::record(&tx, now, user_id, activity::Kind::Release, Some(id.to_string())).await?;
    let receipt = ledger::insert(&tx, now, &notifications::receipt(id, user_id)?).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![receipt]);
    Ok(released(reservation))
}

fn released(reservation: Reservation) -> Release {
    let left = reservation.leaving_time.unwrap_or(reservation.parking_time);
    Release {
        hours: billing::hours(reservation.parking_time, left),
        charged_hours: billing::charged_hours(reservation.parking_time, left),
        reservation,
    }
}

fn after(reservation: &Reservation, event: Event) -> Result<State> {
    reservation.state.after(event).map_err(|why| Error::conflict("wrong_state", why))
}

/// The user's own reservation, kept from other transactions until the end of this one.
async fn lock_own(tx: &DatabaseTransaction, user_id: i64, id: i64) -> Result<Reservation> {
    let lock = row_lock(tx, "FOR UPDATE OF r");
    let text = format!("{SELECT} WHERE r.id = $1 AND r.user_id = $2 {lock}");
    Row::find_by_statement(sql(tx, &text, [id.into(), user_id.into()]))
        .one(tx)
        .await?
        .ok_or(Error::NotFound("reservation"))?
        .try_into()
}

/// The user's reservations, by id; at most 10,000, the newest.
///
/// # Errors
/// Those of the database.
pub async fn of_user(app: &App, user_id: i64) -> Result<Vec<Reservation>> {
    let text = format!("{SELECT} WHERE r.user_id = $1 ORDER BY r.id DESC LIMIT 10000");
    let rows = Row::find_by_statement(sql(app.db.read(), &text, [user_id.into()])).all(app.db.read()).await?;
    rows.into_iter().rev().map(Reservation::try_from).collect()
}
