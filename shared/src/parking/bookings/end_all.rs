//! Ending all reservations of a user who is deleted.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    base::{error::Result, money::Money},
    parking::rules::{payment::PaymentState, pricing::Pricing},
    platform::db::{Transaction, at, row_lock, sql},
};

#[derive(FromQueryResult)]
struct Running {
    id: i64,
    arrived_at: DateTime<Utc>,
    hourly_rate_minor: i64,
    terms: Option<String>,
}

/// Cancels the user's reservations, and ends a running session with an unpaid bill.
pub async fn end_all(tx: &Transaction, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    // Before the running session is read, because until then a reserved one may start. Rows are locked by id, as in
    // the sweep of missed reservations, so that the two do not deadlock.
    let lock = row_lock(tx, "FOR UPDATE");
    let text = format!(
        "UPDATE reservations SET state = 'cancelled', cost_minor = 0 WHERE state = 'reserved' AND id IN
            (SELECT id FROM reservations WHERE user_id = $1 AND state = 'reserved' ORDER BY id {lock})"
    );
    tx.execute_raw(sql(tx, &text, [user_id.into()])).await?;

    let text = format!(
        "SELECT id, arrived_at, hourly_rate_minor,
            (SELECT t.terms FROM tariff_versions t WHERE t.id = tariff_version_id) AS terms
         FROM reservations WHERE user_id = $1 AND state = 'active' {lock}"
    );
    let running = Running::find_by_statement(sql(tx, &text, [user_id.into()])).one(tx).await?;
    let Some(Running { id, arrived_at, hourly_rate_minor, terms }) = running else { return Ok(()) };
    let left = now.max(arrived_at);
    let pricing = Pricing::read(Money::from_minor(hourly_rate_minor), terms.as_deref())?;
    let cost = pricing.cost(arrived_at, left);
    let (state, paid_at) =
        if cost > Money::default() { (PaymentState::Unpaid, None) } else { (PaymentState::Paid, Some(left)) };
    tx.execute_raw(sql(
        tx,
        "UPDATE reservations SET state = 'completed', left_at = $2, cost_minor = $3, payment_state = $4, paid_at = $5
         WHERE id = $1",
        [id.into(), at(left), cost.minor().into(), state.as_str().into(), at(paid_at)],
    ))
    .await?;
    Ok(())
}
