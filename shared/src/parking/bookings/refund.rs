//! Refunding a payment in full.

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    payment::{checked_reason, record},
    reservation::{Reservation, lock},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    jobs::Change,
    parking::{audit::Action, notifications, rules::payment::PaymentState, second_factor},
    platform::{
        db::{at, retry_on_conflict, sql},
        idempotency::Idempotency,
    },
};

/// Records that the payment of a stay went back to the driver, for a reason. The payment stays in the revenue of its day,
/// and the refund reduces that of today.
///
/// # Errors
/// [`Error::Invalid`] without a reason; [`Error::Unconfirmed`] without a fresh code of the second factor;
/// [`Error::NotFound`]; [`Error::Conflict`] if the stay is not paid, cost nothing or is refunded already.
pub async fn refund(
    app: &App,
    who: &Identity,
    id: i64,
    reason: &str,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let reason = checked_reason(reason)?;
    second_factor::require_fresh(app, who).await?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let stored = lock(change.tx(), who, id).await?;
        check_refundable(&stored)?;
        let now = app.clock.now();
        let text = "UPDATE reservations SET payment_state = 'refunded', refunded_at = $2, refund_reason = $3 WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [id.into(), at(now), reason.into()])).await?;
        let details = json!({ "amount": stored.cost, "reason": reason });
        let refunded = record(&mut change, now, who, &stored, Action::PaymentRefunded, &details).await?;
        if !refunded.is_house {
            change.enqueue(&notifications::receipt_of_refund(id, refunded.user_id)?).await?;
        }
        change.commit_with_answer(&idempotency, refunded).await
    })
    .await
}

fn check_refundable(bill: &Reservation) -> Result<()> {
    match bill.payment_state {
        Some(PaymentState::Paid) if bill.cost > Money::default() => Ok(()),
        Some(PaymentState::Paid) => {
            Err(Error::conflict("nothing_due", "the stay cost nothing; there is nothing to refund"))
        }
        Some(PaymentState::Refunded) => {
            Err(Error::conflict("already_refunded", "the payment was refunded before"))
        }
        _ => Err(Error::conflict("not_paid", "the stay is not paid, so there is nothing to refund")),
    }
}
