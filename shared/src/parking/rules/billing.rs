//! The price of a stay: every started hour at the rate of the booking, at least one. The quote for a reserved window is
//! for its exact length. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use tariff::{Bill, Version};

use crate::base::{currency::Currency, money::Money};

const HOUR_MICROS: i64 = 3_600_000_000;

/// The hours on the bill for a stay: every started one, at least one.
#[must_use]
pub fn charged_hours(arrived: DateTime<Utc>, left: DateTime<Utc>) -> i64 {
    let micros = stay(arrived, left).num_microseconds().unwrap_or(i64::MAX);
    micros.div_euclid(HOUR_MICROS).saturating_add(i64::from(micros % HOUR_MICROS > 0)).max(1)
}

/// The price of `hours` at `hourly_rate`.
#[must_use]
pub fn cost(hourly_rate: Money, hours: i64) -> Money {
    hourly_rate.times(hours)
}

/// The bill for a stay, line by line; its total is the [`cost`] of the [`charged_hours`].
#[must_use]
pub fn bill(hourly_rate: Money, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Bill {
    let tariff = Version::hourly(Currency::installed().code(), hourly_rate.minor());
    // An hourly rate depends on no local time.
    tariff::bill(&tariff, arrived, left, Tz::UTC, &BTreeSet::new())
}

/// The quote for a reserved window: its exact length at `hourly_rate`, rounded half up to a minor unit.
#[must_use]
pub fn quote(hourly_rate: Money, begin: DateTime<Utc>, end: DateTime<Utc>) -> Money {
    let micros = i128::from(stay(begin, end).num_microseconds().unwrap_or(i64::MAX));
    let hour = i128::from(HOUR_MICROS);
    let minor = (micros * i128::from(hourly_rate.minor()) + hour / 2).div_euclid(hour);
    Money::from_minor(i64::try_from(minor).unwrap_or(i64::MAX))
}

/// The length of a stay in hours, rounded to two decimal places.
#[must_use]
pub fn hours(arrived: DateTime<Utc>, left: DateTime<Utc>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "hundredths of an hour are far below 2^53")]
    let hundredths = (stay(arrived, left).num_seconds() as f64 / 36.0).round();
    hundredths / 100.0
}

fn stay(arrived: DateTime<Utc>, left: DateTime<Utc>) -> TimeDelta {
    left.signed_duration_since(arrived).max(TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn instant(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn every_started_hour_is_charged() {
        let table = [
            (-3600, 1), // a clock that went back
            (0, 1),
            (1, 1),
            (3599, 1), // 59:59
            (3600, 1), // 1:00:00
            (3601, 2), // 1:00:01
            (7200, 2),
            (7201, 3),
            (24 * 3600, 24),
            (25 * 3600, 25), // a day with 25 hours, door to door
            (25 * 3600 + 1, 26),
        ];
        for (seconds, hours) in table {
            assert_eq!(charged_hours(instant(0), instant(seconds)), hours, "{seconds} s");
        }
        assert_eq!(charged_hours(instant(0), instant(7200) + TimeDelta::microseconds(1)), 3);
    }

    #[test]
    fn the_day_with_25_hours_is_billed_by_elapsed_time() {
        let zone = chrono_tz::Europe::Berlin;
        let midnight = |day| zone.with_ymd_and_hms(2026, 10, day, 0, 0, 0).unwrap().with_timezone(&Utc);
        assert_eq!(charged_hours(midnight(25), midnight(26)), 25);
    }

    #[test]
    fn a_window_is_quoted_by_its_exact_length_rounded_half_up() {
        let table = [
            (3600, 2550, 2550),
            (1800, 2550, 1275),
            (5400, 2550, 3825),
            (60, 2550, 43), // 42.5
            (60, 2549, 42), // 42.483…
            (1, 1800, 1),   // half a minor unit
            (1, 1799, 0),
            (1, 5400, 2), // 1.5
            (0, 2550, 0),
            (-3600, 2550, 0),
            (720 * 3600, 2550, 1_836_000),
            (3600, 0, 0),
        ];
        for (seconds, rate, minor) in table {
            let quoted = quote(Money::from_minor(rate), instant(0), instant(seconds));
            assert_eq!(quoted.minor(), minor, "{seconds} s at {rate}");
        }
        let rate = Money::from_minor(1800);
        assert_eq!(quote(rate, instant(0), instant(1) - TimeDelta::microseconds(1)).minor(), 0);
        assert_eq!(quote(Money::from_minor(i64::MAX), instant(0), instant(720 * 3600)).minor(), i64::MAX);
    }

    #[test]
    fn hours_for_people_have_two_decimal_places() {
        assert!((hours(instant(0), instant(5400)) - 1.5).abs() < 1e-9);
        assert!((hours(instant(0), instant(100)) - 0.03).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_longer_stay_never_costs_less(a in 0i64..100_000_000, b in 0i64..100_000_000, rate in 0i64..1_000_000) {
            let price = |seconds| cost(Money::from_minor(rate), charged_hours(instant(0), instant(seconds)));
            prop_assert!(price(a.min(b)) <= price(a.max(b)));
        }

        #[test]
        fn the_bill_is_the_price_of_the_charged_hours(micros in -10i64..100_000_000_000_000, rate in 0..i64::MAX) {
            let (rate, left) = (Money::from_minor(rate), instant(0) + TimeDelta::microseconds(micros));
            let hours = charged_hours(instant(0), left);
            let bill = bill(rate, instant(0), left);
            prop_assert_eq!(bill.total, cost(rate, hours).minor());
            prop_assert_eq!((bill.lines.len(), bill.lines[0].quantity), (1, hours));
        }

        #[test]
        fn the_charge_covers_the_stay_by_less_than_an_hour(seconds in 1i64..100_000_000) {
            let charged = charged_hours(instant(0), instant(seconds)) * 3600;
            prop_assert!(charged >= seconds && charged - seconds < 3600);
        }

        #[test]
        fn a_quote_is_off_by_at_most_half_a_minor_unit(micros in 0i64..=2_592_000_000_000, rate in 0i64..10_000_000) {
            let end = instant(0) + TimeDelta::microseconds(micros);
            let minor = quote(Money::from_minor(rate), instant(0), end).minor();
            let off = 2 * (i128::from(minor) * 3_600_000_000 - i128::from(micros) * i128::from(rate));
            prop_assert!((-3_600_000_000 < off) && (off <= 3_600_000_000), "{off}");
        }

        #[test]
        fn a_quote_is_never_more_than_the_bill_for_the_same_time(seconds in 0i64..100_000_000, rate in 0i64..1_000_000) {
            let rate = Money::from_minor(rate);
            let bill = cost(rate, charged_hours(instant(0), instant(seconds)));
            prop_assert!(quote(rate, instant(0), instant(seconds)) <= bill);
        }
    }
}
