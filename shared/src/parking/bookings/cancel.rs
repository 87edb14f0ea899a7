//! Giving a reservation up before its session begins.

use sea_orm::ConnectionTrait;

use super::{
    after, lock,
    state::{Event, State},
};
use crate::{
    app::App,
    base::{error::Result, identity::Identity},
    parking::activity,
    platform::{
        cache::Group,
        counters,
        db::{retry_on_conflict, sql},
    },
};

/// Gives a reservation up; its row stays and costs nothing. Repeating it changes nothing.
///
/// # Errors
/// [`NotFound`](crate::Error::NotFound) for a reservation of somebody else; [`Conflict`](crate::Error::Conflict) for one that has begun, or ended otherwise.
pub async fn cancel(app: &App, who: &Identity, id: i64) -> Result<()> {
    retry_on_conflict(|| try_to_cancel(app, who, id)).await
}

async fn try_to_cancel(app: &App, who: &Identity, id: i64) -> Result<()> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let reservation = lock(&tx, who, id).await?;
    if reservation.state == State::Cancelled {
        return Ok(());
    }
    let next = after(app, &reservation, Event::Cancel)?;
    let owner = reservation.user_id;
    tx.execute_raw(sql(
        &tx,
        "UPDATE reservations SET state = $2, cost_minor = 0 WHERE id = $1",
        [id.into(), next.as_str().into()],
    ))
    .await?;
    activity::record(&tx, now, owner, activity::Kind::Cancellation, Some(id.to_string())).await?;
    tx.commit().await?;
    app.counters.record(counters::Event::Cancellation);
    app.cache.invalidate(&[Group::Occupancy, Group::User(owner)]).await;
    Ok(())
}
