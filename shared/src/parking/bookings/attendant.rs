//! An attendant at the lot: puts a driver's car onto a spot, or ends the session of one that has left.
//!
//! What a spot is used for follows from the reservations, so to set it is to begin or to end a session.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    ChosenSpot, Payment, begin,
    expiry::{self, Among},
    release_spot,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::queue,
    parking::{
        accounts,
        lots::spots::{self, Holder, Spot, Status},
    },
    platform::{
        cache::Group,
        counters::Event,
        db::{retry_on_conflict, row_lock, sql},
        idempotency::Idempotency,
    },
};

/// Makes the spot what the attendant says it is; `None` is whatever it is now.
///
/// # Errors
/// [`Error::NotFound`] for a spot that is not in service, or an unknown driver; [`Error::Invalid`] for a driver without a
/// session, or a session without a driver; [`Error::Conflict`] when the spot or the driver is not free.
pub async fn set_spot(
    app: &App,
    who: &Identity,
    id: i64,
    status: Option<Status>,
    user_id: Option<i64>,
) -> Result<Spot> {
    let spot = spots::find(app, id).await?;
    let is_other = user_id.is_some() && user_id != spot.holder.map(|holder| holder.user_id);
    match status {
        Some(Status::Occupied) if is_other || spot.status != Status::Occupied => match user_id {
            Some(user_id) => occupy(app, id, user_id).await,
            None => Err(Error::invalid("/user_id", "must say who occupies the spot")),
        },
        _ if is_other => Err(Error::invalid("/user_id", "can change only together with the status occupied")),
        Some(Status::Available) => vacate(app, who, spot).await,
        Some(Status::Reserved) if spot.status != Status::Reserved => Err(Error::conflict(
            "needs_window",
            "a reservation needs a time to begin and to end; make one by POST /reservations",
        )),
        _ => Ok(spot),
    }
}

/// Ends the session, if there is one, as its driver would without paying.
async fn vacate(app: &App, who: &Identity, spot: Spot) -> Result<Spot> {
    let Some(Holder { reservation_id, .. }) = spot.holder else { return Ok(spot) };
    if spot.status == Status::Reserved {
        return Err(reserved());
    }
    release_spot(app, who, reservation_id, Payment::default(), Idempotency::none()).await?;
    match spots::find(app, spot.id).await {
        // It was on its way out of service, and this was its last session.
        Err(Error::NotFound(_)) => Ok(Spot { status: Status::Available, holder: None, ..spot }),
        found => found,
    }
}

fn reserved() -> Error {
    Error::conflict("spot_reserved", "the spot is reserved; cancel the reservation first")
}

async fn occupy(app: &App, id: i64, user_id: i64) -> Result<Spot> {
    accounts::by_id(app, user_id).await?;
    expiry::expire(app, Among::Spot(id)).await?;
    retry_on_conflict(|| try_to_occupy(app, id, user_id)).await
}

async fn try_to_occupy(app: &App, id: i64, user_id: i64) -> Result<Spot> {
    let tx = app.db.begin().await?;
    // Locked first and looked at afterwards: whoever was booking or retiring it has ended by then.
    let lock = format!("SELECT id FROM spots WHERE id = $1 {}", row_lock(&tx, "FOR UPDATE"));
    tx.query_one_raw(sql(&tx, &lock, [id.into()])).await?;
    let spot = spots::find_in(&tx, id).await?;
    match spot.status {
        Status::Available => {}
        Status::Occupied => return Err(taken()),
        Status::Reserved => return Err(reserved()),
    }
    let text = "SELECT s.id, s.lot_id, l.price_minor, l.location_name AS lot_name, l.address AS lot_address
        FROM spots s JOIN lots l ON l.id = s.lot_id WHERE s.id = $1";
    let chosen = ChosenSpot::find_by_statement(sql(&tx, text, [id.into()])).one(&tx).await?;
    let chosen = chosen.ok_or(Error::NotFound("parking spot"))?;
    let now = app.clock.now();
    let (reservation, told) = begin(app, &tx, now, user_id, chosen).await?.ok_or_else(taken)?;
    tx.commit().await?;
    app.counters.record(Event::Reservation);
    app.cache.invalidate(&[Group::Occupancy, Group::User(user_id)]).await;
    queue::announce_soon(app, told);
    let holder = Holder { reservation_id: reservation.id, user_id, from: now };
    Ok(Spot { status: Status::Occupied, holder: Some(holder), ..spot })
}

fn taken() -> Error {
    Error::conflict("spot_taken", "somebody is parked there; take another spot or end that session")
}
