//! Rows of the demo data.

use std::ops::Range;

use chrono::{DateTime, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    base::money::Money,
    parking::rules::{billing, state::State},
};

/// A row of `lots`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Lot {
    pub(super) id: i64,
    pub(super) location_name: String,
    pub(super) address: String,
    pub(super) pincode: String,
    pub(super) price_minor: i64,
    pub(super) number_of_slots: i64,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// A row of `spots`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Spot {
    pub(super) id: i64,
    pub(super) lot_id: i64,
    pub(super) number: i64,
}

/// A row of `users`.
#[derive(Debug, Clone, Hash)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) role: &'static str,
    pub(super) vehicle_number: Option<String>,
    pub(super) phone_number: Option<String>,
    pub(super) created_at: DateTime<Utc>,
}

/// A row of `reservations`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Reservation {
    pub(super) id: i64,
    pub(super) user_id: i64,
    pub(super) lot_id: i64,
    pub(super) spot_id: i64,
    pub(super) state: State,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) arrived_at: Option<DateTime<Utc>>,
    pub(super) left_at: Option<DateTime<Utc>>,
    pub(super) hourly_rate_minor: i64,
    pub(super) cost_minor: i64,
    pub(super) transaction_id: Option<String>,
    pub(super) payment_method: Option<&'static str>,
    pub(super) created_at: DateTime<Utc>,
}

/// A lot and its history: one price change at `updated_at`, and one closure, in seconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) lot: Lot,
    pub(super) earlier_price_minor: i64,
    pub(super) closed: Range<i64>,
}

impl Reservation {
    /// Ends the session: bills it and pays the bill.
    pub(super) fn complete(self, left_at: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Self {
        let payment_method = match rng.random::<f64>() {
            ..0.62 => "UPI",
            ..0.90 => "Card",
            _ => "Cash",
        };
        let transaction_id = (payment_method != "Cash").then(|| {
            let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
            let mut id = String::with_capacity(13);
            id.push_str("TXN");
            id.extend((0..10).map(|_| char::from(characters[rng.random_range(0..characters.len())])));
            id
        });
        let hours = billing::charged_hours(self.arrived_at.unwrap_or(self.starts_at), left_at);
        let cost_minor = billing::cost(Money::from_minor(self.hourly_rate_minor), hours).minor();
        Self {
            state: State::Completed,
            left_at: Some(left_at),
            cost_minor,
            transaction_id,
            payment_method: Some(payment_method),
            ..self
        }
    }
}
