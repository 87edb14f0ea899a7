//! Changing the window of a reservation: moving it before it starts, or extending a stay.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Reservation, driver,
    expiry::{self, Scope},
    fair_use, list,
    place::{LOT_FULL, Place, SPOT_TAKEN, place, spot_taken},
    reservation::{self, NO_OVERLAP, lock, next_state},
    reserve::insist,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        lots::Moment,
        rules::{
            state::{Event, State},
            window::Window,
        },
    },
    platform::{
        cache::Group,
        db::{at, sql, violates},
    },
};

/// The new ends of a window; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewWindow {
    /// The start.
    pub from: Option<DateTime<Utc>>,
    /// The end.
    pub to: Option<DateTime<Utc>>,
}

/// Moves a reservation whose driver has not arrived, on its spot if that is possible, else on another one of the lot. Of a
/// stay that has begun, only the end can change, as long as nobody else has reserved the spot.
///
/// # Errors
/// [`Error::NotFound`] for somebody else's reservation; [`Error::Invalid`] for an impossible window; [`Error::Conflict`] if
/// it has ended, no spot is free, or a limit for drivers is reached.
pub async fn reschedule(app: &App, who: &Identity, id: i64, new: NewWindow) -> Result<Reservation> {
    let attempt = || insist(|| try_to_reschedule(app, who, id, new));
    match attempt().await {
        Err(Error::Conflict { code: SPOT_TAKEN | LOT_FULL, .. }) => {
            let lot_id = list::find(app, who, id).await?.lot_id;
            expiry::expire(app, Scope::Lot(lot_id)).await?;
            attempt().await
        }
        done => done,
    }
}

async fn try_to_reschedule(
    app: &App,
    who: &Identity,
    id: i64,
    new: NewWindow,
) -> Result<Option<Reservation>> {
    let change = Change::begin(app).await?;
    let found = list::find(app, who, id).await?;
    if found.is_house {
        return Err(Error::conflict("wrong_state", "a car without an account has no reservation to change"));
    }
    driver::lock_to_reserve(change.tx(), found.user_id).await?;
    let reservation = lock(change.tx(), who, id).await?;
    match reservation.state {
        State::Active => extend(app, change, reservation, new).await.map(Some),
        _ => move_window(app, who, change, reservation, new).await,
    }
}

async fn move_window(
    app: &App,
    who: &Identity,
    change: Change,
    reservation: Reservation,
    new: NewWindow,
) -> Result<Option<Reservation>> {
    next_state(app, &reservation, Event::Occupy)?;
    let (tx, rules, moment) = (change.tx(), &app.config.parking, Moment::of(app));
    let id = reservation.id;
    let to = new.to.or(reservation.ends_at).unwrap_or(reservation.starts_at);
    let window = Window { from: new.from.unwrap_or(reservation.starts_at), to };
    // A window that has begun may still be shortened.
    let earliest = moment.now.min(reservation.starts_at);
    let problems = window.problems(earliest, rules.max_length, ["/parking_time", "/leaving_time"]);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    if window.to <= moment.now {
        return Err(Error::invalid("/leaving_time", "must not be in the past"));
    }
    // Out of the way, so that its old window does not count.
    tx.execute_raw(sql(tx, "UPDATE reservations SET state = 'cancelled' WHERE id = $1", [id.into()])).await?;
    if !who.is_admin {
        fair_use::check(tx, &app.config, moment.now, reservation.user_id, window).await?;
    }
    let own = place(tx, rules, moment, Place::Spot(reservation.spot_id), window).await;
    let spot = match own {
        Err(Error::Conflict { .. }) => {
            place(tx, rules, moment, Place::Lot(reservation.lot_id), window).await?
        }
        own => own?,
    };
    let Some(spot) = spot else { return Ok(None) };
    let quote = reservation.pricing().quote(window);
    let text = "UPDATE reservations SET state = 'reserved', spot_id = $2, starts_at = $3, ends_at = $4,
        cost_minor = $5, turned_away_at = NULL WHERE id = $1";
    let values = [id.into(), spot.id.into(), at(window.from), at(window.to), quote.minor().into()];
    match tx.execute_raw(sql(tx, text, values)).await {
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => return Ok(None),
        done => done?,
    };
    commit(change, id).await.map(Some)
}

async fn extend(app: &App, change: Change, reservation: Reservation, new: NewWindow) -> Result<Reservation> {
    let (tx, now, id) = (change.tx(), app.clock.now(), reservation.id);
    let Some(old_end) = reservation.ends_at else {
        let detail = "the session was started without a reservation, so it has no end that could change";
        return Err(Error::conflict("wrong_state", detail));
    };
    if new.from.is_some_and(|from| from != reservation.starts_at) {
        return Err(Error::conflict("wrong_state", "the session has begun; only its end can change"));
    }
    let window = Window { from: reservation.starts_at, to: new.to.unwrap_or(old_end) };
    let problems =
        window.problems(window.from, app.config.parking.max_length, ["/parking_time", "/leaving_time"]);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    if window.to <= now {
        return Err(Error::invalid("/leaving_time", "must not be in the past"));
    }
    let quote = reservation.pricing().quote(window);
    let text = "UPDATE reservations SET ends_at = $2, cost_minor = $3 WHERE id = $1";
    match tx.execute_raw(sql(tx, text, [id.into(), at(window.to), quote.minor().into()])).await {
        Err(error) if violates(&error, NO_OVERLAP, NO_OVERLAP) => return Err(spot_taken()),
        done => done?,
    };
    commit(change, id).await
}

async fn commit(mut change: Change, id: i64) -> Result<Reservation> {
    let changed = reservation::read(change.tx(), id).await?;
    change.invalidates([Group::Occupancy, Group::User(changed.user_id)]);
    change.commit().await?;
    Ok(changed)
}
