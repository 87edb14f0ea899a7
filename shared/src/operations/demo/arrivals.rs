//! How many drivers arrive in each hour of the week, and what becomes of their bookings.
//!
//! Fitted to public occupancy counts of 220 German car parks.

use chrono::{DateTime, Datelike, Timelike, Weekday};
use chrono_tz::Tz;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Arrivals per spot and day, and the percentage of each hour.
type Day = (f64, [f64; 24]);

const WEEKDAY: Day = (
    1.23,
    [
        0.1, 0.6, 0.6, 0.2, 0.0, 0.3, 1.8, 4.7, 8.8, 12.0, 13.3, 11.8, 9.1, 7.3, 6.3, 5.6, 4.8, 3.8, 3.2,
        2.6, 1.9, 1.0, 0.1, 0.0,
    ],
);
const SATURDAY: Day = (
    1.44,
    [
        0.3, 0.6, 0.5, 0.2, 0.1, 0.3, 0.9, 2.2, 5.0, 8.5, 11.5, 12.6, 11.4, 9.8, 8.7, 7.5, 5.8, 4.5, 3.6,
        2.7, 1.7, 1.0, 0.4, 0.2,
    ],
);
const SUNDAY: Day = (
    0.56,
    [
        1.0, 1.2, 1.0, 0.6, 0.4, 0.6, 1.2, 2.0, 3.3, 5.0, 6.5, 7.5, 7.2, 7.5, 8.0, 7.8, 7.2, 6.8, 6.3, 5.6,
        4.8, 3.8, 2.8, 1.9,
    ],
);

/// Share of bookings that are cancelled before they start.
const CANCELLED: f64 = 0.09;
/// Share of bookings whose driver never arrives.
const NO_SHOW: f64 = 0.06;
/// Share of bookings made in advance whose driver arrives.
const BOOKED_AHEAD: f64 = 0.3;

/// Bookings per spot on the average day, for estimates.
pub(super) const BOOKINGS_PER_SPOT_AND_DAY: f64 =
    (5.0 * WEEKDAY.0 + SATURDAY.0 + SUNDAY.0) / 7.0 / (1.0 - CANCELLED - NO_SHOW);

/// The expected bookings of a lot in the hour of `local`. A clock change skips an hour's traffic or repeats it.
pub(super) fn expected_bookings(local: DateTime<Tz>, spots: i64) -> f64 {
    let (per_day, percentages) = match local.weekday() {
        Weekday::Sat => &SATURDAY,
        Weekday::Sun => &SUNDAY,
        _ => &WEEKDAY,
    };
    per_day * percentages[local.hour() as usize] / 100.0 * spots as f64 / (1.0 - CANCELLED - NO_SHOW)
}

/// What becomes of a booking.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Cancelled,
    NoShow,
    BookedAhead,
    WalkIn,
}

impl Fate {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.random::<f64>() {
            chance if chance < CANCELLED => Self::Cancelled,
            chance if chance < CANCELLED + NO_SHOW => Self::NoShow,
            chance if chance < CANCELLED + NO_SHOW + BOOKED_AHEAD => Self::BookedAhead,
            _ => Self::WalkIn,
        }
    }
}
