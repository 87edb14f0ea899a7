//! Reservations: booking a spot now, and what every other step of theirs shares. The database guards spots and drivers.

pub mod attendant;
pub mod billing;
mod cancel;
mod closing;
mod expiry;
pub mod history;
mod list;
mod occupy;
pub mod payment;
mod release;
mod reserve;
pub mod state;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use self::state::{Event, State};
pub use self::{
    cancel::cancel,
    closing::close_all,
    expiry::{expire_no_shows, expire_of_lot},
    list::{find, list, of_user},
    occupy::occupy_spot,
    payment::Payment,
    release::release_spot,
    reserve::{NewReservation, reserve},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    jobs::{Enqueued, queue},
    parking::{
        accounts, activity,
        lots::{self, FREE_SPOTS},
        notifications,
    },
    platform::{
        cache::Group,
        counters,
        db::{Transaction, at, retry_on_conflict, row_lock, sql},
        idempotency::Idempotency,
    },
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
    /// The bill; before it, the quote for a window, and nothing for a walk-in.
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
pub async fn book_spot(
    app: &App,
    user_id: i64,
    lot_id: i64,
    keep: Idempotency<Reservation>,
) -> Result<Reservation> {
    match book(app, user_id, lot_id, &keep).await {
        Err(Error::Conflict { code: "lot_full", .. }) if expiry::makes_room(app, lot_id).await? => {
            book(app, user_id, lot_id, &keep).await
        }
        done => done,
    }
}

async fn book(app: &App, user_id: i64, lot_id: i64, keep: &Idempotency<Reservation>) -> Result<Reservation> {
    for _ in 0..MOST_TRIES {
        if let Some(booked) = retry_on_conflict(|| try_to_book(app, user_id, lot_id, keep)).await? {
            app.counters.record(counters::Event::Reservation);
            app.cache.invalidate(&[Group::Occupancy, Group::User(user_id)]).await;
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
    keep: &Idempotency<Reservation>,
) -> Result<Option<Reservation>> {
    let tx = app.db.begin().await?;
    let Some(spot) = choose_spot(&tx, lot_id).await? else {
        if is_parked(&tx, user_id).await? {
            return Err(already_parked());
        }
        return Err(lots::explain_no_spot(&tx, lot_id).await);
    };
    // Not before: while this waited, another session may have ended there.
    let now = app.clock.now();
    let Some((reservation, told)) = begin(app, &tx, now, user_id, spot).await? else { return Ok(None) };
    keep.store(&tx, &reservation).await?;
    tx.commit().await?;
    queue::announce_soon(app, told);
    Ok(Some(reservation))
}

/// A spot that is free and locked, where rows are.
#[derive(FromQueryResult)]
struct ChosenSpot {
    id: i64,
    lot_id: i64,
    price_minor: i64,
    lot_name: String,
    lot_address: String,
}

/// The first free spot; those that others are just taking are passed over.
async fn choose_spot(tx: &Transaction, lot_id: i64) -> Result<Option<ChosenSpot>> {
    let lock = row_lock(tx, "FOR UPDATE OF s SKIP LOCKED");
    let text = format!(
        "SELECT s.id, s.lot_id, l.price_minor, l.location_name AS lot_name, l.address AS lot_address
         {FREE_SPOTS} ORDER BY s.number LIMIT 1 {lock}"
    );
    Ok(ChosenSpot::find_by_statement(sql(tx, &text, [lot_id.into()])).one(tx).await?)
}

/// Begins a session on the spot, with what tells its user. `None` when somebody else holds the spot after all.
async fn begin(
    app: &App,
    tx: &Transaction,
    now: DateTime<Utc>,
    user_id: i64,
    spot: ChosenSpot,
) -> Result<Option<(Reservation, Vec<Enqueued>)>> {
    // Waits for who is deleting the user, and then inserts nothing. Nor does it wait for who is just leaving the spot: the
    // session would begin before the other one has ended. It never begins before one that this process could not know of.
    let living = row_lock(tx, "FOR SHARE OF u");
    let row = tx
        .query_one_raw(sql(
            tx,
            &format!(
                "INSERT INTO reservations
                    (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at)
                 SELECT u.id, $2, $3, 'active', since.at, since.at, $5, $4 FROM users u, (
                    SELECT COALESCE(MAX(left_at), $4) AS at FROM reservations
                    WHERE spot_id = $3 AND state = 'completed' AND left_at > $4) since
                 WHERE u.id = $1 AND u.deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = $3 AND r.state = 'active') {living}
                 ON CONFLICT DO NOTHING RETURNING id, arrived_at"
            ),
            [user_id.into(), spot.lot_id.into(), spot.id.into(), at(now), spot.price_minor.into()],
        ))
        .await?;
    let Some(row) = row else {
        accounts::must_live(tx, user_id).await?;
        return if is_parked(tx, user_id).await? { Err(already_parked()) } else { Ok(None) };
    };
    let id: i64 = row.try_get("", "id")?;
    let parking_time = row.try_get("", "arrived_at")?;
    activity::record(tx, now, user_id, activity::Kind::Booking, Some(id.to_string())).await?;
    let told = notifications::tell_of_booking(app, tx, now, id, user_id).await?;
    let reservation = Reservation {
        id,
        user_id,
        lot_id: spot.lot_id,
        lot_name: spot.lot_name,
        lot_address: spot.lot_address,
        spot_id: spot.id,
        state: State::Active,
        parking_time,
        leaving_time: None,
        hourly_rate: Money::from_minor(spot.price_minor),
        cost: Money::default(),
        transaction_id: None,
        payment_method: None,
    };
    Ok(Some((reservation, told)))
}

async fn is_parked(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations WHERE user_id = $1 AND state = 'active'";
    Ok(db.query_one_raw(sql(db, text, [user_id.into()])).await?.is_some())
}

fn already_parked() -> Error {
    Error::conflict("already_parked", "you have a running session; release its spot before you book another")
}

/// What happens to a reservation when `event` does, as far as its own history and the clock say.
fn after(app: &App, reservation: &Reservation, event: Event) -> Result<State> {
    let (begin, end) = (reservation.parking_time, reservation.leaving_time);
    let missed = reservation.state == State::Reserved
        && state::is_missed(begin, end, app.clock.now(), app.config.no_show_after);
    // The sweep may not have come by yet; nobody is to see a difference.
    let state = if missed { State::Expired } else { reservation.state };
    let code = if state == State::Expired { "expired" } else { "wrong_state" };
    state.after(event).map_err(|why| Error::conflict(code, why))
}

/// The reservation, if it is the caller's or the caller an administrator, kept from other transactions until the end
/// of this one.
async fn lock(tx: &Transaction, who: &Identity, id: i64) -> Result<Reservation> {
    let lock = row_lock(tx, "FOR UPDATE OF r");
    let text = format!("{SELECT} WHERE r.id = $1 AND (r.user_id = $2 OR $3) {lock}");
    Row::find_by_statement(sql(tx, &text, [id.into(), who.user_id.into(), who.is_admin.into()]))
        .one(tx)
        .await?
        .ok_or(Error::NotFound("reservation"))?
        .try_into()
}
