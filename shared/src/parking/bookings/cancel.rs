//! Cancelling a reservation before its session starts.

use sea_orm::ConnectionTrait;

use super::reservation::{lock, next_state};
use crate::{
    app::App,
    base::{error::Result, identity::Identity},
    jobs::Change,
    parking::{
        activity,
        rules::state::{Event, State},
    },
    platform::{
        cache::Group,
        counters,
        db::{retry_on_conflict, sql},
    },
};

/// Cancels a reservation at no cost. Repeating it changes nothing.
///
/// # Errors
/// [`NotFound`](crate::Error::NotFound) for somebody else's reservation; [`Conflict`](crate::Error::Conflict) if its
/// session has started or it has ended otherwise.
pub async fn cancel(app: &App, who: &Identity, id: i64) -> Result<()> {
    retry_on_conflict(async || {
        let now = app.clock.now();
        let mut change = Change::begin(app).await?;
        let reservation = lock(change.tx(), who, id).await?;
        if reservation.state == State::Cancelled {
            return Ok(());
        }
        let (state, owner) = (next_state(app, &reservation, Event::Cancel)?, reservation.user_id);
        let text = "UPDATE reservations SET state = $2, cost_minor = 0 WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [id.into(), state.as_str().into()])).await?;
        activity::record(change.tx(), now, owner, activity::Kind::Cancellation, Some(id.to_string())).await?;
        change.invalidates([Group::Occupancy, Group::User(owner)]);
        change.counts(counters::Event::Cancellation);
        change.commit().await
    })
    .await
}
