//! The bill of a stay as text, for the printer at the barrier.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::reservation::Reservation;
use crate::parking::{
    notifications::local_time,
    rules::{
        payment::PaymentState,
        pricing::{Pricing, bill_lines},
    },
};

/// The receipt, or the bill if it is unpaid: lines of a name and a value.
#[must_use]
pub fn receipt_text(stay: &Reservation, zone: Tz) -> String {
    let title = if stay.payment_state == Some(PaymentState::Unpaid) { "Bill" } else { "Receipt" };
    let times = stay.arrived_at.zip(stay.left_at);
    let charged = times.map_or_else(Vec::new, |(arrived, left)| charged(&stay.pricing(), arrived, left));
    let lines = [
        (title, Some(stay.id.to_string())),
        ("Lot", Some(stay.lot_name.clone())),
        ("Address", Some(stay.lot_address.clone())),
        ("Vehicle", stay.plate.clone()),
        ("Spot", Some(stay.spot_number.to_string())),
        ("Arrived", stay.arrived_at.map(|time| local_time(time, zone))),
        ("Left", stay.left_at.map(|time| local_time(time, zone))),
    ];
    let end = [
        ("Total", Some(stay.cost.to_string())),
        ("Payment", stay.payment_state.map(|state| state.as_str().to_owned())),
        ("Paid by", stay.payment.method.clone()),
        ("Transaction", stay.payment.transaction_id.clone()),
    ];
    let text = lines.into_iter().chain(charged).chain(end);
    text.filter_map(|(name, value)| Some(format!("{name:<12}{}\n", value?))).collect()
}

/// The hours and their price, or the lines of the bill.
fn charged(
    pricing: &Pricing,
    arrived: DateTime<Utc>,
    left: DateTime<Utc>,
) -> Vec<(&'static str, Option<String>)> {
    match pricing.charged_hours(arrived, left) {
        Some(hours) => vec![("Hours", Some(format!("{hours} at {}", pricing.hourly_rate)))],
        None => {
            let bill = pricing.bill(arrived, left);
            let lines = bill_lines(&bill).into_iter();
            lines.map(|line| ("Charged", Some(format!("{} {}", line.name, line.amount)))).collect()
        }
    }
}
