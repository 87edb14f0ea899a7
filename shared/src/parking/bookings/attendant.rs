//! What attendants at a lot do: park a driver's car on a spot, or end the session of one that has left.
//!
//! The status of a spot follows from the reservations, so setting it starts or ends a session.

use sea_orm::ConnectionTrait;

use super::{
    car::Car,
    driver,
    expiry::{self, Scope},
    release_spot,
    start::{Displaced, Spares, count_displaced, lock_spares, start, this_spot},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        lots::{
            self, Moment,
            spots::{self, Holder, Spot, Status},
        },
        rules::payment::Payment,
    },
    platform::{
        db::{retry_on_conflict, row_lock, sql},
        idempotency::Idempotency,
    },
};

/// Sets the status of a spot, or leaves it as it is for `None`.
///
/// # Errors
/// [`Error::NotFound`] for a spot out of service or an unknown driver; [`Error::Invalid`] for a driver without the status
/// occupied, or that status without a driver; [`Error::Conflict`] if the spot or the driver is not free.
pub async fn set_spot(
    app: &App,
    who: &Identity,
    id: i64,
    status: Option<Status>,
    user_id: Option<i64>,
) -> Result<Spot> {
    let spot = spots::find(app, id).await?;
    let is_other = user_id.is_some() && user_id != spot.holder.as_ref().map(|holder| holder.user_id);
    match status {
        Some(Status::Occupied) if is_other || spot.status != Status::Occupied => match user_id {
            Some(user_id) => occupy(app, id, user_id).await,
            None => Err(Error::invalid("/user_id", "must say who occupies the spot")),
        },
        _ if is_other => Err(Error::invalid("/user_id", "can change only together with the status occupied")),
        Some(Status::Available) => vacate(app, who, spot).await,
        Some(Status::Reserved) if spot.status != Status::Reserved => Err(Error::conflict(
            "needs_window",
            "a reservation needs a beginning and an end; create one with POST /reservations",
        )),
        _ => Ok(spot),
    }
}

/// Ends the session, if there is one, with an unpaid bill.
async fn vacate(app: &App, who: &Identity, spot: Spot) -> Result<Spot> {
    let Some(Holder { reservation_id, .. }) = spot.holder else { return Ok(spot) };
    if spot.status == Status::Reserved {
        return Err(reserved());
    }
    release_spot(app, who, reservation_id, Payment::default(), Idempotency::none()).await?;
    match spots::find(app, spot.id).await {
        // The spot was retiring, and this was its last session.
        Err(Error::NotFound(_)) => Ok(Spot { status: Status::Available, holder: None, ..spot }),
        found => found,
    }
}

fn reserved() -> Error {
    Error::conflict("spot_reserved", "the spot is reserved; cancel the reservation first")
}

async fn occupy(app: &App, id: i64, user_id: i64) -> Result<Spot> {
    if !driver::exists(app.db.read(), user_id).await? {
        return Err(Error::NotFound("user"));
    }
    expiry::expire(app, Scope::Spot(id)).await?;
    let lot_id = spots::find(app, id).await?.lot_id;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        // The lot first, as for every booking beside displaced windows.
        lots::lock(change.tx(), lot_id).await?;
        // Locked before it is read, so that pending bookings and the retirement of the spot have ended.
        let lock = format!("SELECT id FROM spots WHERE id = $1 {}", row_lock(change.tx(), "FOR UPDATE"));
        change.tx().query_one_raw(sql(change.tx(), &lock, [id.into()])).await?;
        let moment = Moment::of(app);
        let spot = spots::find_in(change.tx(), id, moment).await?;
        match spot.status {
            Status::Available => {}
            Status::Occupied => return Err(taken()),
            Status::Reserved => return Err(reserved()),
        }
        let chosen = this_spot(change.tx(), id).await?;
        let displaced = count_displaced(change.tx(), spot.lot_id, moment).await?;
        if lock_spares(change.tx(), spot.lot_id, moment, id, displaced).await? != Spares::Locked {
            let detail =
                "the free spots of the parking lot are kept for reservations whose spots are occupied";
            return Err(Error::conflict("lot_full", detail));
        }
        let chosen = (chosen, Displaced::Covered);
        let reservation =
            start(app, &mut change, moment, &Car::of(user_id), chosen).await?.ok_or_else(taken)?;
        change.commit().await?;
        let from = reservation.parking_time();
        let plate = reservation.plate;
        let holder = Holder { reservation_id: reservation.id, user_id, from, until: None, plate };
        Ok(Spot { status: Status::Occupied, holder: Some(holder), ..spot })
    })
    .await
}

fn taken() -> Error {
    Error::conflict("spot_taken", "somebody is parked there; take another spot or end that session")
}
