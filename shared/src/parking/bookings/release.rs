//! Leaving: the session ends, the bill is made and the spot becomes free.

use super::{
    fast_path,
    payment::{billed, checked, settle, store},
    reservation::{Reservation, lock_at_lot, next_state},
};
use crate::{
    app::App,
    base::{error::Result, identity::Identity},
    jobs::Change,
    parking::{
        activity, notifications,
        rules::{
            payment::Payment,
            state::{Event, State},
        },
    },
    platform::{cache::Group, db::retry_on_conflict, idempotency::Idempotency},
};

/// Ends the session and makes the bill, which stays unpaid unless a payment is named. Repeating it returns the same bill,
/// and pays it if it is unpaid and a payment is named.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for somebody else's reservation, unless it is at a lot of an attendant; [`Error::Conflict`](crate::Error::Conflict)
/// if it has no running session, was paid otherwise, or the transaction has paid for another stay.
pub async fn release_spot(
    app: &App,
    who: &Identity,
    id: i64,
    payment: Payment,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let payment = checked(payment)?;
    if idempotency.is_none()
        && let Some(bill) = retry_on_conflict(|| fast_path::release(app, who, id, &payment)).await?
    {
        return Ok(bill);
    }
    retry_on_conflict(async || {
        let now = app.clock.now();
        let mut change = Change::begin(app).await?;
        let stored = lock_at_lot(change.tx(), who, id).await?;
        if stored.state == State::Completed {
            let settled = settle(app, &mut change, who, stored, &payment).await?;
            return change.commit_with_answer(&idempotency, settled).await;
        }
        let state = next_state(app, &stored, Event::Release)?;
        let bill = billed(Reservation { state, ..stored }, now, who, &payment);
        let owner = bill.user_id;
        store(change.tx(), who, &bill).await?;
        if !bill.is_house {
            activity::record(change.tx(), now, owner, activity::Kind::Release, Some(id.to_string())).await?;
            change.enqueue(&notifications::receipt(id, owner)?).await?;
        }
        change.invalidates([Group::Occupancy, Group::User(owner)]);
        change.commit_with_answer(&idempotency, bill).await
    })
    .await
}
