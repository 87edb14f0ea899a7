//! The bill of a stay as text, for the printer at the barrier.

use chrono_tz::Tz;

use super::reservation::Reservation;
use crate::parking::{notifications::local_time, rules::payment::PaymentState};

/// The receipt, or the bill if it is unpaid: lines of a name and a value.
#[must_use]
pub fn receipt_text(stay: &Reservation, zone: Tz) -> String {
    let title = if stay.payment_state == Some(PaymentState::Unpaid) { "Bill" } else { "Receipt" };
    let hours = stay.left_at.and_then(|left| stay.charged_hours(left)).unwrap_or_default();
    let lines = [
        (title, Some(stay.id.to_string())),
        ("Lot", Some(stay.lot_name.clone())),
        ("Address", Some(stay.lot_address.clone())),
        ("Vehicle", stay.plate.clone()),
        ("Spot", Some(stay.spot_number.to_string())),
        ("Arrived", stay.arrived_at.map(|time| local_time(time, zone))),
        ("Left", stay.left_at.map(|time| local_time(time, zone))),
        ("Hours", Some(format!("{hours} at {}", stay.hourly_rate))),
        ("Total", Some(stay.cost.to_string())),
        ("Payment", stay.payment_state.map(|state| state.as_str().to_owned())),
        ("Paid by", stay.payment.method.clone()),
        ("Transaction", stay.payment.transaction_id.clone()),
    ];
    let text = lines.into_iter().filter_map(|(name, value)| Some(format!("{name:<12}{}\n", value?)));
    text.collect()
}
