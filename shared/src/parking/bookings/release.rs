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
    jobs::{ledger, queue},
    parking::{activity, notifications},
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql},
        idempotency::Keep,
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
    keep: Keep<Release>,
) -> Result<Release> {
    let payment = payment.checked()?;
    retry_on_conflict(|| try_to_release(app, who, id, &payment, &keep)).await
}

async fn try_to_release(
    app: &App,
    who: &Identity,
    id: i64,
    payment: &Payment,
    keep: &Keep<Release>,
) -> Result<Release> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let stored = lock(&tx, who, id).await?;
    let is_repeated = stored.state == State::Completed;
    if is_repeated && !is_paid_by(&stored, payment) {
        return Err(Error::conflict(
            "paid_otherwise",
            "the session has ended and was paid by another transaction",
        ));
    }
    if is_repeated {
        let release = released(stored);
        keep.answer(&tx, &release).await?;
        tx.commit().await?;
        return Ok(release);
    }
    let state = after(app, &stored, Event::Release)?;
    let release = released(billed(Reservation { state, ..stored }, now, payment));
    let owner = release.reservation.user_id;
    store(&tx, &release.reservation).await?;
    activity::record(&tx, now, owner, activity::Kind::Release, Some(id.to_string())).await?;
    let receipt = ledger::insert(&tx, now, &notifications::receipt(id, owner)?).await?;
    keep.answer(&tx, &release).await?;
    tx.commit().await?;
    app.cache.invalidate(&[Group::Occupancy, Group::User(owner)]).await;
    queue::announce_soon(app, vec![receipt]);
    Ok(release)
}

/// A repetition that names no transaction, or the same one.
fn is_paid_by(reservation: &Reservation, payment: &Payment) -> bool {
    payment.transaction_id.is_none() || payment.transaction_id == reservation.transaction_id
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
