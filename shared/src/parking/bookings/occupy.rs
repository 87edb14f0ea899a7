//! Arriving for a reservation: its session starts.

use sea_orm::ConnectionTrait;

use super::{
    Reservation, driver, expiry, list,
    reservation::{self, NO_OVERLAP, lock, next_state},
    start::{MAX_ATTEMPTS, choose_spot},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        time::rfc3339,
    },
    jobs::Change,
    parking::rules::state::Event,
    platform::{
        cache::Group,
        db::{at, retry_on_conflict, sql, violates},
    },
};

/// The unique indexes on active sessions, by their name in PostgreSQL and their column in SQLite.
const ONE_SESSION_PER_USER: (&str, &str) = ("reservations_one_active_a_user", "reservations.user_id");
const ONE_SESSION_PER_SPOT: (&str, &str) = ("reservations_one_active_a_spot", "reservations.spot_id");

const OVERSTAYED: &str = "spot_overstayed";

/// The driver arrives at a reserved spot. If the previous driver has overstayed, another free spot of the lot is given.
///
/// # Errors
/// [`Error::NotFound`] for somebody else's reservation; [`Error::Conflict`] if the session cannot start.
pub async fn occupy_spot(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    match occupy(app, who, id).await {
        Err(Error::Conflict { code: OVERSTAYED, .. })
            if expiry::frees_a_spot(app, list::find(app, who, id).await?.lot_id).await? =>
        {
            occupy(app, who, id).await
        }
        done => done,
    }
}

async fn occupy(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(occupied) = retry_on_conflict(|| try_to_occupy(app, who, id)).await? {
            return Ok(occupied);
        }
    }
    Err(overstayed())
}

fn overstayed() -> Error {
    Error::conflict(OVERSTAYED, "the reserved spot is still occupied and no other one is free")
}

/// `None` if another driver took the spot first.
async fn try_to_occupy(app: &App, who: &Identity, id: i64) -> Result<Option<Reservation>> {
    let mut change = Change::begin(app).await?;
    let tx = change.tx();
    let reservation = lock(tx, who, id).await?;
    let now = app.clock.now();
    let state = next_state(app, &reservation, Event::Occupy)?;
    if now < reservation.starts_at {
        let begin = rfc3339(reservation.starts_at);
        return Err(Error::conflict("too_early", format!("the reservation begins at {begin}")));
    }
    let spot_id = if is_occupied(tx, reservation.spot_id).await? {
        choose_spot(tx, reservation.lot_id).await?.ok_or_else(overstayed)?.id
    } else {
        reservation.spot_id
    };
    // The previous session of the other spot is just ending; this one would start before that.
    if spot_id != reservation.spot_id && is_occupied(tx, spot_id).await? {
        return Ok(None);
    }
    // Read again: the previous session may have ended while this waited for the spot.
    let now = app.clock.now().max(now);
    let text = "UPDATE reservations SET state = $2, arrived_at = $3, spot_id = $4 WHERE id = $1";
    let values = [id.into(), state.as_str().into(), at(now), spot_id.into()];
    if let Err(error) = tx.execute_raw(sql(tx, text, values)).await {
        let (user, spot) = (ONE_SESSION_PER_USER, ONE_SESSION_PER_SPOT);
        return match error {
            error if violates(&error, user.0, user.1) => Err(driver::already_parked()),
            error if violates(&error, spot.0, spot.1) => Ok(None),
            error if violates(&error, NO_OVERLAP, NO_OVERLAP) => Ok(None),
            error => Err(error.into()),
        };
    }
    change.invalidates([Group::Occupancy, Group::User(reservation.user_id)]);
    let occupied = reservation::read(change.tx(), id).await?;
    change.commit().await?;
    Ok(Some(occupied))
}

async fn is_occupied(db: &impl ConnectionTrait, spot_id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations WHERE spot_id = $1 AND state = 'active'";
    Ok(db.query_one_raw(sql(db, text, [spot_id.into()])).await?.is_some())
}
