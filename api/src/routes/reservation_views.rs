//! Reservations as clients see them: one shape for every answer, and the names of older clients beside it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    base::{money::Money, time::wire},
    parking::{bookings::Reservation, rules::state::State},
};
use utoipa::ToSchema;

/// A reservation, from the booking to the payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationDetails {
    id: i64,
    /// The driver.
    user_id: i64,
    /// `upcoming` before the arrival, `active` while parked, `completed` after the departure; `cancelled`; `expired` if
    /// nobody arrived.
    #[schema(pattern = "^(upcoming|active|completed|cancelled|expired)$", example = "active")]
    state: &'static str,
    lot: LotOfReservation,
    /// The plate of the car.
    plate: Option<String>,
    spot_id: i64,
    /// The number of the spot within its lot, for people.
    spot_number: i64,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    /// The start of the reserved window; without one, the arrival.
    #[serde(with = "wire")]
    starts_at: DateTime<Utc>,
    /// The end of the reserved window.
    #[serde(with = "wire::option")]
    ends_at: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    arrived_at: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    left_at: Option<DateTime<Utc>>,
    /// Fixed when the spot is booked.
    #[schema(value_type = f64)]
    hourly_rate: Money,
    /// The hours charged; while parked, those until now.
    charged_hours: Option<i64>,
    /// From arrival to departure, with two decimal places.
    actual_duration_hours: Option<f64>,
    /// What a reserved window will cost; null from the arrival on.
    #[schema(value_type = Option<f64>)]
    quote: Option<Money>,
    /// What the parking session would cost if it ended now; null unless it is running.
    #[schema(value_type = Option<f64>)]
    cost_so_far: Option<Money>,
    /// The bill; null before the departure.
    #[schema(value_type = Option<f64>)]
    cost: Option<Money>,
    /// What became of the bill; null before the departure.
    payment: Option<PaymentView>,
}

/// What became of a bill.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentView {
    /// `unpaid`, `paid`, `waived` or `refunded`.
    #[schema(pattern = "^(unpaid|paid|waived|refunded)$", example = "paid")]
    state: &'static str,
    method: Option<String>,
    transaction_id: Option<String>,
    #[serde(with = "wire::option")]
    paid_at: Option<DateTime<Utc>>,
    /// Whether an attendant or administrator has taken or verified it. Before that, it is what the driver says.
    verified: bool,
    /// Why nobody has to pay.
    waive_reason: Option<String>,
    #[serde(with = "wire::option")]
    refunded_at: Option<DateTime<Utc>>,
    /// Why the money went back.
    refund_reason: Option<String>,
}

impl PaymentView {
    fn new(reservation: &Reservation) -> Option<Self> {
        Some(Self {
            state: reservation.payment_state?.as_str(),
            method: reservation.payment.method.clone(),
            transaction_id: reservation.payment.transaction_id.clone(),
            paid_at: reservation.paid_at,
            verified: reservation.payment_verified_at.is_some(),
            waive_reason: reservation.waive_reason.clone(),
            refunded_at: reservation.refunded_at,
            refund_reason: reservation.refund_reason.clone(),
        })
    }
}

/// The lot of a reservation, under its current name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotOfReservation {
    id: i64,
    name: String,
    address: String,
}

impl ReservationDetails {
    pub(crate) fn new(reservation: &Reservation, now: DateTime<Utc>) -> Self {
        let cost_in = |state| Some(reservation.cost).filter(|_| reservation.state == state);
        Self {
            id: reservation.id,
            user_id: reservation.user_id,
            state: match reservation.state {
                State::Reserved => "upcoming",
                state => state.as_str(),
            },
            lot: LotOfReservation {
                id: reservation.lot_id,
                name: reservation.lot_name.clone(),
                address: reservation.lot_address.clone(),
            },
            plate: reservation.plate.clone(),
            spot_id: reservation.spot_id,
            spot_number: reservation.spot_number,
            created_at: reservation.created_at,
            starts_at: reservation.starts_at,
            ends_at: reservation.ends_at,
            arrived_at: reservation.arrived_at,
            left_at: reservation.left_at,
            hourly_rate: reservation.hourly_rate,
            charged_hours: reservation.charged_hours(now),
            actual_duration_hours: reservation.hours(),
            quote: cost_in(State::Reserved),
            cost_so_far: reservation.cost_so_far(now),
            cost: cost_in(State::Completed),
            payment: PaymentView::new(reservation),
        }
    }
}

/// A reservation, with the names that older clients read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(crate) struct ReservationView {
    #[serde(flatten)]
    details: ReservationDetails,
    /// Use `lot`.
    #[schema(deprecated)]
    lot_name: String,
    /// Use `lot`.
    #[schema(deprecated)]
    lot_address: String,
    /// Use `hourly_rate`.
    #[schema(value_type = f64, deprecated)]
    lot_price: Money,
    /// The arrival, or the start of the window. Use `arrived_at` and `starts_at`.
    #[serde(with = "wire")]
    #[schema(deprecated)]
    parking_time: DateTime<Utc>,
    /// The departure, or the end of a window that has not started. Use `left_at` and `ends_at`.
    #[serde(with = "wire::option")]
    #[schema(deprecated)]
    leaving_time: Option<DateTime<Utc>>,
    /// The bill, or the quote for a window; 0 while parked without one. Use `cost`, `quote` and `cost_so_far`.
    #[schema(value_type = f64, deprecated)]
    parking_cost: Money,
    /// Use `payment`.
    #[schema(deprecated)]
    transaction_id: Option<String>,
    /// Use `payment`.
    #[schema(deprecated)]
    payment_method: Option<String>,
    /// `reserved`, `active`, `completed`, `cancelled` or `expired`; `occupied` in the answer to an arrival. Use `state`.
    #[schema(deprecated)]
    status: &'static str,
}

impl ReservationView {
    pub(crate) fn new(reservation: &Reservation, now: DateTime<Utc>) -> Self {
        Self {
            details: ReservationDetails::new(reservation, now),
            lot_name: reservation.lot_name.clone(),
            lot_address: reservation.lot_address.clone(),
            lot_price: reservation.hourly_rate,
            parking_time: reservation.parking_time(),
            leaving_time: reservation.leaving_time(),
            parking_cost: reservation.cost,
            transaction_id: reservation.payment.transaction_id.clone(),
            payment_method: reservation.payment.method.clone(),
            status: reservation.state.as_str(),
        }
    }

    /// As older clients expect it after an arrival.
    pub(crate) fn occupied(self) -> Self {
        Self { status: "occupied", ..self }
    }
}

/// One reservation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneReservation {
    pub(crate) msg: &'static str,
    pub(crate) reservation: ReservationView,
}

impl OneReservation {
    pub(crate) fn new(msg: &'static str, reservation: &Reservation, now: DateTime<Utc>) -> Self {
        Self { msg, reservation: ReservationView::new(reservation, now) }
    }
}

/// When one of these changes by itself because another hour begins.
pub(crate) fn next_change<'a>(
    reservations: impl IntoIterator<Item = &'a Reservation>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    reservations.into_iter().filter_map(|reservation| reservation.cost_changes_at(now)).min()
}
