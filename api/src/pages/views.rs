//! Lots and reservations as the templates show them.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::parking::{
    bookings::Reservation,
    lots::Lot,
    rules::{payment::PaymentState, state::State},
};

use super::visitor::Visitor;

/// Rows on a page of a list.
pub(super) const ROWS: i64 = 25;

/// The last row of the page before. What cannot be read is the first page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    pub(super) after: String,
}

/// A lot.
pub(super) fn lot(lot: &Lot) -> Value {
    context! {
        id => lot.id, name => &lot.location_name, address => &lot.address, pincode => &lot.pincode,
        price => lot.price.minor(), tariff => lot.terms.as_ref().map(|terms| terms.in_words()), free => lot.available_slots, spots => lot.number_of_slots,
    }
}

/// A reservation, with what its driver may do with it.
pub(super) fn reservation(visitor: &Visitor, row: &Reservation, now: DateTime<Utc>) -> Value {
    let shown = |instant: DateTime<Utc>| visitor.instant(instant);
    let state = match row.state {
        State::Reserved => "upcoming",
        state => state.as_str(),
    };
    let bill = Some(row.cost.minor()).filter(|_| row.state == State::Completed);
    context! {
        id => row.id, state, lot_id => row.lot_id, lot => &row.lot_name, address => &row.lot_address,
        spot => row.spot_number, booked => shown(row.created_at), starts => shown(row.parking_time()),
        ends => row.ends_at.map(shown), arrived => row.arrived_at.map(shown), left => row.left_at.map(shown),
        ends_input => visitor.for_input(row.ends_at.unwrap_or(now)),
        may_extend => row.ends_at.is_some() && matches!(row.state, State::Reserved | State::Active),
        rate => row.hourly_rate.minor(), tariff => row.terms.as_ref().map(|terms| terms.in_words()), hours => row.charged_hours(now),
        so_far => row.cost_so_far(now).map(|cost| cost.minor()),
        quote => Some(row.cost.minor()).filter(|_| row.state == State::Reserved), bill,
        payment => row.payment_state.map(PaymentState::as_str), method => row.payment.method.as_deref(),
        transaction => row.payment.transaction_id.as_deref(), paid_at => row.paid_at.map(shown),
        verified => row.payment_verified_at.is_some(), waived => row.waive_reason.as_deref(),
        plate => row.plate.as_deref(),
    }
}
