//! Arriving for a reservation: its session begins.

use sea_orm::ConnectionTrait;

use super::{
    MOST_TRIES, NO_OVERLAP, ONE_A_SPOT, ONE_A_USER, Reservation, after, already_parked, choose_spot, expiry,
    list, lock, state::Event,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        time::rfc3339,
    },
    platform::{
        cache::Group,
        db::{at, retry_on_conflict, sql, violates},
    },
};

/// The driver arrives at a reserved spot. While the spot is overstayed, another free one of the lot is given.
///
/// # Errors
/// [`Error::NotFound`] for a reservation of somebody else; [`Error::Conflict`] when it cannot start.
pub async fn occupy_spot(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    match occupy(app, who, id).await {
        Err(Error::Conflict { code: OVERSTAYED, .. })
            if expiry::makes_room(app, list::find(app, who, id).await?.lot_id).await? =>
        {
            occupy(app, who, id).await
        }
        done => done,
    }
}

const OVERSTAYED: &str = "spot_overstayed";

async fn occupy(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    for _ in 0..MOST_TRIES {
        if let Some(occupied) = retry_on_conflict(|| try_to_occupy(app, who, id)).await? {
            app.cache.invalidate(&[Group::Occupancy, Group::User(occupied.user_id)]).await;
            return Ok(occupied);
        }
    }
    Err(overstayed())
}

fn overstayed() -> Error {
    Error::conflict(OVERSTAYED, "the reserved spot is still occupied and no other one is free")
}

/// `None` when somebody else was faster at the spot.
async fn try_to_occupy(app: &App, who: &Identity, id: i64) -> Result<Option<Reservation>> {
    let tx = app.db.begin().await?;
    let reservation = lock(&tx, who, id).await?;
    let now = app.clock.now();
    let next = after(app, &reservation, Event::Occupy)?;
    if now < reservation.parking_time {
        let begin = rfc3339(reservation.parking_time);
        return Err(Error::conflict("too_early", format!("the reservation begins at {begin}")));
    }
    let spot_id = if is_overstayed(&tx, reservation.spot_id).await? {
        let free = choose_spot(&tx, reservation.lot_id).await?;
        free.map(|spot| spot.id).ok_or_else(overstayed)?
    } else {
        reservation.spot_id
    };
    // Somebody is just leaving there; the session would begin before the other one has ended.
    if spot_id != reservation.spot_id && is_overstayed(&tx, spot_id).await? {
        return Ok(None);
    }
    // Again: while this waited for the spot, another session may have ended there.
    let now = app.clock.now().max(now);
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
