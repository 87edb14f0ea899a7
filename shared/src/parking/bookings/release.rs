//! Leaving: the bill is made and the spot is free.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Payment, Release, Reservation, after, billing, lock,
    state::{Event, State},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{activity, notifications},
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql},
        idempotency::Idempotency,
    },
};

/// The driver leaves: the bill is made and the spot is free. Repeating it changes nothing and answers the same.
///
/// # Errors
/// [`Error::NotFound`] for a reservation of somebody else; [`Error::Conflict`] when there is no session to end,
/// or it was paid by another transaction.
pub async fn release_spot(
    app: &App,
    who: &Identity,
    id: i64,
    payment: Payment,
    idempotency: Idempotency<Release>,
) -> Result<Release> {
    let payment = payment.checked()?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let now = app.clock.now();
        let stored = lock(change.tx(), who, id).await?;
        if stored.state == State::Completed {
            return repeat(change, stored, &payment, &idempotency).await;
        }
        let state = after(app, &stored, Event::Release)?;
        let release = released(billed(Reservation { state, ..stored }, now, &payment));
        let owner = release.reservation.user_id;
        store(change.tx(), &release.reservation).await?;
        activity::record(change.tx(), now, owner, activity::Kind::Release, Some(id.to_string())).await?;
        change.enqueue(&notifications::receipt(id, owner)?).await?;
        change.invalidates([Group::Occupancy, Group::User(owner)]);
        change.commit_with_answer(&idempotency, release).await
    })
    .await
}

/// The same bill again, unless another transaction has paid for it.
async fn repeat(
    change: Change,
    stored: Reservation,
    payment: &Payment,
    idempotency: &Idempotency<Release>,
) -> Result<Release> {
    if payment.transaction_id.is_some() && payment.transaction_id != stored.transaction_id {
        return Err(Error::conflict(
            "paid_otherwise",
            "the session has ended and was paid by another transaction",
        ));
    }
    change.commit_with_answer(idempotency, released(stored)).await
}

fn billed(reservation: Reservation, now: DateTime<Utc>, payment: &Payment) -> Reservation {
    let left = now.max(reservation.parking_time);
    let hours = billing::charged_hours(reservation.parking_time, left);
    Reservation {
        leaving_time: Some(left),
        cost: billing::cost(reservation.hourly_rate, hours),
        transaction_id: payment.transaction_id.clone(),
        payment_method: payment.method.clone(),
        ..reservation
    }
}

async fn store(tx: &Transaction, bill: &Reservation) -> Result<()> {
    tx.execute_raw(sql(
        tx,
        "UPDATE reservations SET state = $2, left_at = $3, cost_minor = $4, transaction_id = $5, payment_method = $6
         WHERE id = $1",
        [
            bill.id.into(),
            bill.state.as_str().into(),
            at(bill.leaving_time),
            bill.cost.minor().into(),
            bill.transaction_id.clone().into(),
            bill.payment_method.clone().into(),
        ],
    ))
    .await?;
    Ok(())
}

fn released(reservation: Reservation) -> Release {
    let left = reservation.leaving_time.unwrap_or(reservation.parking_time);
    Release {
        hours: billing::hours(reservation.parking_time, left),
        charged_hours: billing::charged_hours(reservation.parking_time, left),
        reservation,
    }
}
