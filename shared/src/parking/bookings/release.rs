//! Leaving: the session ends, the bill is made and the spot becomes free.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::reservation::{Reservation, lock, next_state};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        activity, notifications,
        rules::{
            billing,
            state::{Event, State},
        },
    },
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql},
        idempotency::Idempotency,
    },
};

/// How a driver pays.
#[derive(Debug, Clone, Default)]
pub struct Payment {
    /// Assigned by the payment provider or the cashier.
    pub transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash`, or another name.
    pub method: Option<String>,
}

/// Ends the session and makes the bill. Repeating it changes nothing and returns the same bill.
///
/// # Errors
/// [`Error::NotFound`] for somebody else's reservation; [`Error::Conflict`] if it has no running session or was paid
/// with another transaction.
pub async fn release_spot(
    app: &App,
    who: &Identity,
    id: i64,
    payment: Payment,
    idempotency: Idempotency<Reservation>,
) -> Result<Reservation> {
    let payment = payment.checked()?;
    retry_on_conflict(async || {
        let now = app.clock.now();
        let mut change = Change::begin(app).await?;
        let stored = lock(change.tx(), who, id).await?;
        if stored.state == State::Completed {
            return repeat(change, stored, &payment, &idempotency).await;
        }
        let state = next_state(app, &stored, Event::Release)?;
        let bill = billed(Reservation { state, ..stored }, now, &payment);
        let owner = bill.user_id;
        store(change.tx(), &bill).await?;
        activity::record(change.tx(), now, owner, activity::Kind::Release, Some(id.to_string())).await?;
        change.enqueue(&notifications::receipt(id, owner)?).await?;
        change.invalidates([Group::Occupancy, Group::User(owner)]);
        change.commit_with_answer(&idempotency, bill).await
    })
    .await
}

/// Returns the same bill again, unless it was paid with another transaction.
async fn repeat(
    change: Change,
    stored: Reservation,
    payment: &Payment,
    idempotency: &Idempotency<Reservation>,
) -> Result<Reservation> {
    if payment.transaction_id.is_some() && payment.transaction_id != stored.transaction_id {
        let detail = "the session has ended and was paid with another transaction";
        return Err(Error::conflict("paid_otherwise", detail));
    }
    change.commit_with_answer(idempotency, stored).await
}

impl Payment {
    /// Replaces the method by the name that is stored; an unknown one stays as it is.
    fn checked(self) -> Result<Self> {
        let field = |pointer: &str, text: Option<String>, max: usize| match text
            .filter(|text| !text.is_empty())
        {
            Some(text) if text.chars().count() > max || text.contains('\0') => {
                Err(Error::invalid(pointer, format!("must have at most {max} characters, none of them NUL")))
            }
            text => Ok(text),
        };
        let method = field("/payment_method", self.method, 20)?.map(|method| match method.as_str() {
            "qr" | "upi" => "UPI".to_owned(),
            "card" => "Card".to_owned(),
            "cash" => "Cash".to_owned(),
            _ => method,
        });
        Ok(Self { transaction_id: field("/transaction_id", self.transaction_id, 50)?, method })
    }
}

fn billed(reservation: Reservation, now: DateTime<Utc>, payment: &Payment) -> Reservation {
    let arrived = reservation.parking_time();
    let left = now.max(arrived);
    let hours = billing::charged_hours(arrived, left);
    Reservation {
        left_at: Some(left),
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
            at(bill.left_at),
            bill.cost.minor().into(),
            bill.transaction_id.clone().into(),
            bill.payment_method.clone().into(),
        ],
    ))
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(method: &str) -> Option<String> {
        let payment = Payment { transaction_id: Some(String::new()), method: Some(method.into()) };
        payment.checked().unwrap().method
    }

    #[test]
    fn methods_get_their_stored_names() {
        for (sent, expected) in [
            ("qr", "UPI"),
            ("upi", "UPI"),
            ("card", "Card"),
            ("cash", "Cash"),
            ("UPI", "UPI"),
            ("bitcoin", "bitcoin"),
        ] {
            assert_eq!(stored(sent).as_deref(), Some(expected));
        }
        assert_eq!(stored(""), None);
    }

    #[test]
    fn texts_that_do_not_fit_are_rejected() {
        let payment =
            |id: &str, method: &str| Payment { transaction_id: Some(id.into()), method: Some(method.into()) };
        assert!(payment(&"x".repeat(51), "card").checked().is_err());
        assert!(payment("TXN1", &"x".repeat(21)).checked().is_err());
        assert!(payment("a\0", "card").checked().is_err());
    }
}
