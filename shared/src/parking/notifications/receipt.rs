//! The receipt for a stay that has ended, or the bill if it is unpaid.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{IfUnknown, Letter, Recipient, deliver},
    format::local_time,
};
use crate::{
    base::{
        error::{Error, Result},
        money::Money,
        plural::plural,
    },
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::rules::{
        payment::PaymentState,
        pricing::{Pricing, bill_lines},
    },
    platform::db::sql,
};

/// Sends a driver the receipt for a stay, or its bill.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReceipt {
    /// The reservation, which must be completed.
    pub reservation_id: i64,
}

/// The job that sends the receipt for a reservation.
///
/// # Errors
/// As [`NewJob::of`].
pub fn receipt(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendReceipt { reservation_id })?.owner(user_id).unique(reservation_id.to_string()))
}

/// The job that sends the receipt for a later payment. It has a key of its own: the job that mails the bill may be
/// running.
///
/// # Errors
/// As [`NewJob::of`].
pub fn receipt_of_payment(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(receipt(reservation_id, user_id)?.unique(format!("{reservation_id}:paid")))
}

/// The job that sends the receipt for a refund.
///
/// # Errors
/// As [`NewJob::of`].
pub fn receipt_of_refund(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(receipt(reservation_id, user_id)?.unique(format!("{reservation_id}:refunded")))
}

#[derive(FromQueryResult)]
struct Stay {
    user_id: i64,
    starts_at: DateTime<Utc>,
    arrived_at: Option<DateTime<Utc>>,
    left_at: DateTime<Utc>,
    hourly_rate_minor: i64,
    terms: Option<String>,
    cost_minor: i64,
    transaction_id: Option<String>,
    payment_method: Option<String>,
    payment_state: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    location_name: String,
    address: String,
    pincode: String,
    number: i64,
    plate: Option<String>,
    #[sea_orm(nested)]
    recipient: Option<Recipient>,
}

const STAY: &str =
    "SELECT r.user_id, r.starts_at, r.arrived_at, r.left_at, r.hourly_rate_minor, t.terms, r.cost_minor,
        r.transaction_id, r.payment_method, r.payment_state, r.paid_at, l.location_name, l.address, l.pincode, s.number,
        r.plate, u.username, u.email
    FROM reservations r JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
        LEFT JOIN tariff_versions t ON t.id = r.tariff_version_id
        LEFT JOIN users u ON u.id = r.user_id AND u.deleted_at IS NULL
    WHERE r.id = $1 AND r.state = 'completed'";

impl Stay {
    fn is_in(&self, state: PaymentState) -> bool {
        self.payment_state.as_deref() == Some(state.as_str())
    }

    /// A payment after the departure has a receipt of its own, because the first mail was a bill.
    /// So has a refund.
    fn key(&self, reservation_id: i64) -> String {
        let is_later = self.paid_at.is_some_and(|paid_at| paid_at > self.left_at);
        let what = match () {
            () if self.is_in(PaymentState::Refunded) => ":refunded",
            () if is_later => ":paid",
            () => "",
        };
        format!("receipt:{reservation_id}{what}")
    }
}

/// Pairs of a label and what is charged: the hours, or each line of the bill.
fn charged(pricing: &Pricing, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Vec<[String; 2]> {
    let charged = match pricing.charged_hours(arrived, left) {
        Some(hours) => vec![format!("{} at {} an hour", plural(hours, "hour"), pricing.hourly_rate)],
        None => {
            let lines = bill_lines(&pricing.bill(arrived, left)).into_iter();
            lines.map(|line| format!("{}: {}", line.name, line.amount)).collect()
        }
    };
    charged.into_iter().map(|text| ["Charged".to_owned(), text]).collect()
}

impl Job for SendReceipt {
    const NAME: &'static str = "send-receipt";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let stay = Stay::find_by_statement(sql(db, STAY, [self.reservation_id.into()])).one(db).await?;
        let stay = stay.ok_or(Error::NotFound("completed reservation"))?;
        let arrived = stay.arrived_at.unwrap_or(stay.starts_at);
        let is_unpaid = stay.is_in(PaymentState::Unpaid);
        let is_waived = stay.is_in(PaymentState::Waived);
        let is_refunded = stay.is_in(PaymentState::Refunded);
        let pricing = Pricing::read(Money::from_minor(stay.hourly_rate_minor), stay.terms.as_deref())?;
        let letter = Letter {
            key: stay.key(self.reservation_id),
            kind: "receipt",
            user_id: stay.user_id,
            recipient: stay.recipient,
            values: context! {
                reservation_id => self.reservation_id,
                lot => stay.location_name,
                address => format!("{}, {}", stay.address, stay.pincode),
                spot => stay.number,
                vehicle => stay.plate,
                arrived => local_time(arrived, config.zone),
                left => local_time(stay.left_at, config.zone),
                hours => pricing.charged_hours(arrived, stay.left_at),
                charged => charged(&pricing, arrived, stay.left_at),
                total => Money::from_minor(stay.cost_minor).to_string(),
                is_unpaid,
                is_waived,
                is_refunded,
                payment_method => stay.payment_method,
                transaction_id => stay.transaction_id,
            },
            if_unknown: IfUnknown::Hold,
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
