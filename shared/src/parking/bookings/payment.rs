//! Paying, verifying and waiving the bill of a completed stay.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{
    bill::not_ended,
    reservation::{self, Reservation, lock, lock_at_lot},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Object},
        notifications,
        rules::{
            payment::{Payment, PaymentState},
            state::State,
        },
        second_factor,
    },
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql, violates},
        idempotency::Idempotency,
    },
};

/// The most characters of a reason for waiving or refunding a bill.
pub const MAX_REASON: usize = 500;

/// The index that lets a transaction settle one stay.
const ONE_STAY_A_TRANSACTION: &str = "reservations_one_stay_a_transaction";

/// Replaces the method by the name that is stored. Other texts stay as they are; blank ones count as none.
///
/// # Errors
/// [`Error::Invalid`] for a text that is too long or contains NUL.
pub(super) fn checked(payment: Payment) -> Result<Payment> {
    let field =
        |pointer: &str, text: Option<String>, max: usize| match text.filter(|text| !text.trim().is_empty()) {
            Some(text) if text.chars().count() > max || text.contains('\0') => {
                Err(Error::invalid(pointer, format!("must have at most {max} characters, none of them NUL")))
            }
            text => Ok(text),
        };
    let method = field("/payment_method", payment.method, 20)?;
    let method = method.map(|method| match method.trim().to_ascii_lowercase().as_str() {
        "qr" | "upi" => "UPI".to_owned(),
        "card" => "Card".to_owned(),
        "cash" => "Cash".to_owned(),
        _ => method,
    });
    Ok(Payment { transaction_id: field("/transaction_id", payment.transaction_id, 50)?, method })
}

/// Pays the bill of a stay that has ended. Repeating the same payment changes nothing. What a driver enters is a claim
/// until it is verified; what an attendant enters for somebody else, or an administrator, is verified at once.
///
/// # Errors
/// [`Error::Invalid`] unless a method or a transaction is named; [`Error::NotFound`] for somebody else's reservation;
/// [`Error::Conflict`] if the stay has not ended, was paid otherwise or waived, or the transaction settles another one.
pub async fn pay(
    app: &App,
    who: &Identity,
    id: i64,
    payment: Payment,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let payment = checked(payment)?;
    if payment.is_empty() {
        return Err(Error::invalid(
            "/transaction_id",
            "must say how the stay was paid, unless payment_method does",
        ));
    }
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let stored = lock_at_lot(change.tx(), who, id).await?;
        if stored.state != State::Completed {
            return Err(not_ended());
        }
        let paid = settle(app, &mut change, who, stored, &payment).await?;
        change.commit_with_answer(&idempotency, paid).await
    })
    .await
}

/// Applies a payment to the bill of a completed stay.
pub(super) async fn settle(
    app: &App,
    change: &mut Change,
    who: &Identity,
    stored: Reservation,
    payment: &Payment,
) -> Result<Reservation> {
    match stored.payment_state {
        _ if payment.repeats(&stored.payment) => return Ok(stored),
        Some(PaymentState::Unpaid) => {}
        Some(PaymentState::Waived) => {
            return Err(Error::conflict("waived", "the bill was waived; there is nothing left to pay"));
        }
        Some(PaymentState::Refunded) => {
            return Err(Error::conflict(
                "refunded",
                "the payment was refunded; there is nothing left to pay",
            ));
        }
        _ if stored.payment.is_empty() => {
            return Err(Error::conflict("nothing_due", "the stay cost nothing; there is nothing to pay"));
        }
        _ => {
            let detail = "the session has ended and was paid otherwise";
            return Err(Error::conflict("paid_otherwise", detail));
        }
    }
    let bill = paid(stored, app.clock.now(), who, payment);
    store(change.tx(), who, &bill).await?;
    if !bill.is_house {
        change.enqueue(&notifications::receipt_of_payment(bill.id, bill.user_id)?).await?;
    }
    change.invalidates([Group::Occupancy, Group::User(bill.user_id)]);
    Ok(bill)
}

/// The bill after a payment. Whoever may enter one for somebody else took the money, so it is verified at once.
pub(super) fn paid(bill: Reservation, now: DateTime<Utc>, who: &Identity, payment: &Payment) -> Reservation {
    let is_verified = who.is_admin || who.user_id != bill.user_id;
    Reservation {
        payment_state: Some(PaymentState::Paid),
        payment: payment.clone(),
        paid_at: Some(now),
        payment_verified_at: Some(now).filter(|_| is_verified && !payment.is_empty()),
        ..bill
    }
}

/// The bill of a session that ends now. There is nothing to pay if it cost nothing.
pub(super) fn billed(
    session: Reservation,
    now: DateTime<Utc>,
    who: &Identity,
    payment: &Payment,
) -> Reservation {
    let arrived = session.parking_time();
    let left = now.max(arrived);
    let cost = session.pricing().cost(arrived, left);
    let bill =
        Reservation { left_at: Some(left), cost, payment_state: Some(PaymentState::Unpaid), ..session };
    if payment.is_empty() && cost > Money::default() { bill } else { paid(bill, left, who, payment) }
}

/// The end of a stay and its bill.
pub(super) const STORE: &str =
    "UPDATE reservations SET state = $2, left_at = $3, cost_minor = $4, payment_state = $5, paid_at = $6,
        payment_method = $7, transaction_id = $8, transaction_key = $9, payment_verified_at = $10,
        payment_verified_by = $11
    WHERE id = $1";

/// The values of [`STORE`].
pub(super) fn stored_values(who: &Identity, bill: &Reservation) -> [sea_orm::Value; 11] {
    [
        bill.id.into(),
        bill.state.as_str().into(),
        at(bill.left_at),
        bill.cost.minor().into(),
        bill.payment_state.map(PaymentState::as_str).into(),
        at(bill.paid_at),
        bill.payment.method.clone().into(),
        bill.payment.transaction_id.clone().into(),
        bill.payment.transaction_key().map(str::to_owned).into(),
        at(bill.payment_verified_at),
        bill.payment_verified_at.map(|_| who.user_id).into(),
    ]
}

/// Names the conflict if the transaction settles another stay.
pub(super) fn not_stored(error: sea_orm::DbErr) -> Error {
    if violates(&error, ONE_STAY_A_TRANSACTION, ONE_STAY_A_TRANSACTION) {
        let detail = "this transaction has paid for another stay; check the transaction id";
        return Error::conflict("transaction_used", detail);
    }
    error.into()
}

/// Stores the end of a stay and its bill.
///
/// # Errors
/// [`Error::Conflict`] if the transaction settles another stay.
pub(super) async fn store(tx: &Transaction, who: &Identity, bill: &Reservation) -> Result<()> {
    tx.execute_raw(sql(tx, STORE, stored_values(who, bill))).await.map_err(not_stored)?;
    if let Some(now) = bill.payment_verified_at {
        let object = Object::Reservation(bill.id);
        audit::record(tx, now, &who.into(), Action::PaymentEntered, object, &json!({})).await?;
    }
    Ok(())
}

/// Verifies a payment that a driver has declared. Repeating it changes nothing.
///
/// # Errors
/// [`Error::NotFound`], also for an attendant at another lot; [`Error::Forbidden`] for an attendant's own stay;
/// [`Error::Conflict`] if the stay is not paid.
pub async fn verify_payment(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let stored = lock_at_lot(change.tx(), who, id).await?;
        if stored.user_id == who.user_id && !who.is_admin {
            return Err(Error::Forbidden("somebody else must verify the payment of your own stay"));
        }
        if stored.payment_state != Some(PaymentState::Paid) {
            return Err(Error::conflict(
                "not_paid",
                "the stay is not paid, so there is no payment to verify",
            ));
        }
        if stored.payment_verified_at.is_some() {
            return Ok(stored);
        }
        let now = app.clock.now();
        let text = "UPDATE reservations SET payment_verified_at = $2, payment_verified_by = $3 WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [id.into(), at(now), who.user_id.into()])).await?;
        let verified = record(&mut change, now, who, &stored, Action::PaymentVerified, &json!({})).await?;
        change.commit().await?;
        Ok(verified)
    })
    .await
}

/// The reason without blanks around it.
///
/// # Errors
/// [`Error::Invalid`] for none, or one that is too long or contains NUL.
pub(super) fn checked_reason(reason: &str) -> Result<&str> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
        let detail = format!("must say why, in at most {MAX_REASON} characters, none of them NUL");
        return Err(Error::invalid("/reason", detail));
    }
    Ok(reason)
}

/// Waives the bill of a stay, for a reason. Repeating it changes nothing.
///
/// # Errors
/// [`Error::Invalid`] without a reason; [`Error::NotFound`]; [`Error::Conflict`] if the stay has not ended or is paid.
pub async fn waive(
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
        match stored.payment_state {
            Some(PaymentState::Unpaid) => {}
            Some(PaymentState::Waived) => return change.commit_with_answer(&idempotency, stored).await,
            Some(PaymentState::Paid | PaymentState::Refunded) => {
                return Err(Error::conflict("already_paid", "the stay is paid; there is nothing to waive"));
            }
            None => return Err(not_ended()),
        }
        let now = app.clock.now();
        let text = "UPDATE reservations SET payment_state = 'waived', waive_reason = $2 WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [id.into(), reason.into()])).await?;
        let details = json!({ "amount": stored.cost, "reason": reason });
        let waived = record(&mut change, now, who, &stored, Action::BillWaived, &details).await?;
        change.commit_with_answer(&idempotency, waived).await
    })
    .await
}

/// Writes the audit row of a change to a bill, and reads the result.
pub(super) async fn record(
    change: &mut Change,
    now: DateTime<Utc>,
    who: &Identity,
    bill: &Reservation,
    action: Action,
    details: &Value,
) -> Result<Reservation> {
    audit::record(change.tx(), now, &who.into(), action, Object::Reservation(bill.id), details).await?;
    change.invalidates([Group::Occupancy, Group::User(bill.user_id)]);
    reservation::read(change.tx(), bill.id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(method: &str) -> Option<String> {
        checked(Payment { transaction_id: Some(String::new()), method: Some(method.into()) }).unwrap().method
    }

    #[test]
    fn methods_get_their_stored_names() {
        for (sent, expected) in [
            ("qr", "UPI"),
            ("upi", "UPI"),
            ("card", "Card"),
            ("CASH", "Cash"),
            ("UPI", "UPI"),
            (" Card ", "Card"),
            ("bitcoin", "bitcoin"),
        ] {
            assert_eq!(stored(sent).as_deref(), Some(expected));
        }
        assert_eq!(stored(" "), None);
    }

    #[test]
    fn texts_that_do_not_fit_are_rejected() {
        let payment =
            |id: &str, method: &str| Payment { transaction_id: Some(id.into()), method: Some(method.into()) };
        assert!(checked(payment(&"x".repeat(51), "card")).is_err());
        assert!(checked(payment("TXN1", &"x".repeat(21))).is_err());
        assert!(checked(payment("a\0", "card")).is_err());
    }
}
