//! Arriving for a reservation: its session starts.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use super::{
    Reservation,
    car::{self, Car, Plate},
    expiry::{self, Scope},
    list,
    reseat::{emptiest_spot, exchange, is_claimed, is_occupied, unclaimed_spot},
    reservation::{self, NO_OVERLAP, lock_at_lot, next_state},
    reserve::insist,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        plural::plural,
        time::rfc3339,
    },
    jobs::Change,
    parking::{
        lots::{self, Moment, availability::count_free_now},
        notifications::alert::{self, Alert},
        rules::{state::Event, window::Window},
    },
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql, violates},
        idempotency::Idempotency,
    },
};

/// The unique indexes on active sessions, by their name in PostgreSQL and their column in SQLite.
const ONE_SESSION_PER_USER: (&str, &str) = ("reservations_one_active_a_user", "reservations.user_id");
const ONE_PLACE_PER_PLATE: (&str, &str) = ("reservations_one_place_a_plate", "reservations.plate_key");
const ONE_SESSION_PER_SPOT: (&str, &str) = ("reservations_one_active_a_spot", "reservations.spot_id");

/// An arrival for a reservation.
pub(super) struct Arriving<'a> {
    pub(super) who: &'a Identity,
    pub(super) reservation_id: i64,
    /// The car that arrives; by default, the one for which the reservation was made.
    pub(super) plate: Option<&'a Plate>,
    pub(super) idempotency: &'a Idempotency<Reservation>,
}

/// How an arrival ends.
enum Arrival {
    Parked(Reservation),
    /// Every spot holds a car.
    TurnedAway(Reservation),
}

/// The driver arrives for a reservation. If another car is on the reserved spot, another one is given.
///
/// A driver who is in time is turned away only if every spot holds a car; that is not a no-show, and operators are
/// alerted.
///
/// # Errors
/// [`Error::NotFound`] for somebody else's reservation, unless it is at a lot of an attendant; [`Error::Conflict`] if the
/// session cannot start.
pub async fn occupy_spot(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    let idempotency = &Idempotency::none();
    arrive(app, &Arriving { who, reservation_id: id, plate: None, idempotency }).await
}

/// As [`occupy_spot`].
pub(super) async fn arrive(app: &App, arriving: &Arriving<'_>) -> Result<Reservation> {
    if let Some(parked) = retry_on_conflict(|| park_on_reserved_spot(app, arriving)).await? {
        return Ok(parked);
    }
    let lot_id = list::find(app, arriving.who, arriving.reservation_id).await?.lot_id;
    expiry::expire(app, Scope::Lot(lot_id)).await?;
    match insist(|| park_somewhere(app, arriving, lot_id)).await? {
        Arrival::Parked(reservation) => Ok(reservation),
        Arrival::TurnedAway(reservation) => {
            alert_operators(app, &reservation).await;
            Err(Error::conflict(
                "spot_overstayed",
                "the reserved spot is still occupied and no other one is free",
            ))
        }
    }
}

/// The usual case: the driver is in time and the spot is free. `None` otherwise.
async fn park_on_reserved_spot(app: &App, arriving: &Arriving<'_>) -> Result<Option<Reservation>> {
    let change = Change::begin(app).await?;
    let reservation = lock_at_lot(change.tx(), arriving.who, arriving.reservation_id).await?;
    next_state(app, &reservation, Event::Occupy)?;
    check_not_too_early(app, &reservation)?;
    let is_early = app.clock.now() < reservation.starts_at;
    if is_early || is_occupied(change.tx(), reservation.spot_id).await? {
        return Ok(None);
    }
    let spot_id = reservation.spot_id;
    start(app, arriving, change, reservation, spot_id).await
}

fn check_not_too_early(app: &App, reservation: &Reservation) -> Result<()> {
    let opens = reservation.starts_at - app.config.parking.early_arrival;
    if app.clock.now() >= opens {
        return Ok(());
    }
    let (begin, opens) = (rfc3339(reservation.starts_at), rfc3339(opens));
    Err(Error::conflict(
        "too_early",
        format!("the reservation begins at {begin}; you can arrive from {opens}"),
    ))
}

/// Looks at the whole lot, which is locked against others who do. `None` if another driver took the chosen spot first.
async fn park_somewhere(app: &App, arriving: &Arriving<'_>, lot_id: i64) -> Result<Option<Arrival>> {
    let change = Change::begin(app).await?;
    let tx = change.tx();
    lots::lock(tx, lot_id).await?;
    let reservation = lock_at_lot(tx, arriving.who, arriving.reservation_id).await?;
    next_state(app, &reservation, Event::Occupy)?;
    let moment = Moment::of(app);
    let spot_id = if moment.now < reservation.starts_at {
        Some(early_spot(app, tx, moment, &reservation).await?)
    } else {
        punctual_spot(tx, moment, &reservation).await?
    };
    match spot_id {
        Some(spot_id) => Ok(start(app, arriving, change, reservation, spot_id).await?.map(Arrival::Parked)),
        None => turn_away(change, moment, reservation).await.map(|turned| Some(Arrival::TurnedAway(turned))),
    }
}

/// A driver who comes early takes nothing that others have reserved.
async fn early_spot(app: &App, tx: &Transaction, moment: Moment, reservation: &Reservation) -> Result<i64> {
    let stay = stay(moment, reservation);
    if count_free_now(tx, reservation.lot_id, moment).await? >= 0 {
        let own = reservation.spot_id;
        if !is_occupied(tx, own).await? && !is_claimed(tx, own, stay, reservation.id).await? {
            return Ok(own);
        }
        if let Some(spot) = unclaimed_spot(tx, reservation.lot_id, stay, reservation.id).await? {
            return Ok(spot);
        }
    }
    let begin = rfc3339(reservation.starts_at);
    let early = plural(app.config.parking.early_arrival.num_minutes(), "minute");
    let detail = format!(
        "no spot is free yet; the reservation begins at {begin}, and arriving {early} before needs one"
    );
    Err(Error::conflict("too_early", detail))
}

/// The reserved spot, or one that nobody has reserved meanwhile, or any without a car; then the windows that wait for it
/// change places with those that wait for the occupied one.
async fn punctual_spot(tx: &Transaction, moment: Moment, reservation: &Reservation) -> Result<Option<i64>> {
    let own = reservation.spot_id;
    if !is_occupied(tx, own).await? {
        return Ok(Some(own));
    }
    let stay = stay(moment, reservation);
    if let Some(spot) = unclaimed_spot(tx, reservation.lot_id, stay, reservation.id).await? {
        return Ok(Some(spot));
    }
    let Some(spot) = emptiest_spot(tx, reservation.lot_id).await? else { return Ok(None) };
    exchange(tx, moment.now, own, spot.id).await?;
    Ok(Some(spot.id))
}

/// From now until the window ends.
fn stay(moment: Moment, reservation: &Reservation) -> Window {
    let to = reservation.ends_at.unwrap_or(moment.now + TimeDelta::microseconds(1));
    Window { from: moment.now, to }
}

/// Starts the session. `None` if another driver took the spot first.
async fn start(
    app: &App,
    arriving: &Arriving<'_>,
    mut change: Change,
    reservation: Reservation,
    spot_id: i64,
) -> Result<Option<Reservation>> {
    // Read after every lock: the previous session may have ended while this waited.
    let now = app.clock.now();
    let text = "UPDATE reservations SET state = 'active', arrived_at = $2, spot_id = $3, plate = COALESCE($4, plate),
            plate_key = COALESCE($5, (SELECT MIN(v.plate_key) FROM vehicles v
                WHERE v.user_id = reservations.user_id AND v.plate = reservations.plate))
        WHERE id = $1";
    let (plate, key) = arriving.plate.map(|plate| (plate.text.clone(), plate.key.clone())).unzip();
    let values = [reservation.id.into(), at(now), spot_id.into(), plate.into(), key.into()];
    if let Err(error) = change.tx().execute_raw(sql(change.tx(), text, values)).await {
        let (user, plate, spot) = (ONE_SESSION_PER_USER, ONE_PLACE_PER_PLATE, ONE_SESSION_PER_SPOT);
        return match error {
            error if violates(&error, user.0, user.1) => Err(car::already_parked()),
            error if violates(&error, plate.0, plate.1) => {
                // A driver who is parked with the same car breaks both rules, and databases name either.
                Car::of(reservation.user_id).check_not_parked(app.db.read()).await?;
                Err(car::plate_parked())
            }
            error if violates(&error, spot.0, spot.1) => Ok(None),
            error if violates(&error, NO_OVERLAP, NO_OVERLAP) => Ok(None),
            error => Err(error.into()),
        };
    }
    let parked = reservation::read(change.tx(), reservation.id).await?;
    change.invalidates([Group::Occupancy, Group::User(parked.user_id)]);
    change.commit_with_answer(arriving.idempotency, parked).await.map(Some)
}

async fn turn_away(change: Change, moment: Moment, reservation: Reservation) -> Result<Reservation> {
    let text = "UPDATE reservations SET turned_away_at = $2 WHERE id = $1";
    change.tx().execute_raw(sql(change.tx(), text, [reservation.id.into(), at(moment.now)])).await?;
    change.commit().await?;
    Ok(reservation)
}

/// Best effort: the driver is told in any case.
async fn alert_operators(app: &App, reservation: &Reservation) {
    let fact = |label: &str, value: String| (label.to_owned(), value);
    let facts = vec![
        fact("Parking lot", reservation.lot_name.clone()),
        fact("Reservation", reservation.id.to_string()),
        fact("Begins", rfc3339(reservation.starts_at)),
    ];
    let title = "A driver with a reservation found every spot occupied";
    if let Err(error) = alert::raise(app, Alert::TurnedAway, title, facts).await {
        tracing::warn!(error = error.chain(), "cannot raise an alert about a driver who was turned away");
    }
}
