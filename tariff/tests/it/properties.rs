//! What holds for every tariff and every stay.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use tariff::{Bill, Charge, Rule, Version, bill};

use crate::random::Random;

/// The price before taxes that are added.
fn price(bill: &Bill) -> i64 {
    bill.lines.iter().map(|line| line.amount).sum()
}

proptest! {
    #[test]
    fn bills_are_never_negative_and_their_lines_add_up(seed: u64) {
        let mut random = Random::new(seed);
        let (version, (arrival, departure)) = (random.version(), random.stay());
        let bill = bill(&version, arrival, departure, random.zone(), &random.holidays());
        let taxes: i64 = bill.tax.iter().map(|tax| tax.amount).sum();
        prop_assert!(taxes >= 0 && bill.total >= 0);
        prop_assert_eq!(bill.total, price(&bill) + if version.tax.included { 0 } else { taxes });
        for line in &bill.lines {
            let is_cap = matches!(line.rule, Rule::DayCap { .. } | Rule::BlockCap { .. } | Rule::StayCap);
            prop_assert!(if is_cap { line.amount <= 0 } else { line.amount >= 0 }, "{:?}", line);
            prop_assert!(arrival <= line.from && line.from <= line.until && line.until <= departure);
        }
        prop_assert!(bill.lines.is_sorted_by_key(|line| line.until));
    }

    #[test]
    fn a_bill_is_never_more_than_its_caps(seed: u64) {
        let mut random = Random::new(seed);
        let (version, (arrival, departure), zone) = (random.version(), random.stay(), random.zone());
        let price = price(&bill(&version, arrival, departure, zone, &random.holidays()));
        let days = |instant: DateTime<Utc>| instant.with_timezone(&zone).date_naive();
        let days = (days(departure) - days(arrival)).num_days() + 1;
        let blocks = (departure - arrival).num_hours() / 24 + 1;
        prop_assert!(version.caps.per_day.is_none_or(|cap| price <= cap * days));
        prop_assert!(version.caps.per_24_hours.is_none_or(|cap| price <= cap * blocks));
        prop_assert!(version.caps.per_stay.is_none_or(|cap| price <= cap));
    }

    #[test]
    fn a_longer_stay_never_costs_less(seed: u64) {
        let mut random = Random::new(seed);
        let (version, (arrival, departure)) = (random.version(), random.stay());
        let (zone, holidays, longer) = (random.zone(), random.holidays(), random.seconds(100_000));
        let until = |departure| bill(&version, arrival, departure, zone, &holidays).total;
        prop_assert!(until(departure) <= until(departure + longer));
    }

    #[test]
    fn leaving_within_the_free_minutes_costs_nothing(seed: u64, free in 1u32..=1440) {
        let mut random = Random::new(seed);
        let (version, (arrival, _)) = (Version { free_minutes: free, ..random.version() }, random.stay());
        let departure = arrival + random.seconds(i64::from(free) * 60);
        prop_assert_eq!(bill(&version, arrival, departure, random.zone(), &random.holidays()).total, 0);
    }

    #[test]
    fn the_same_version_gives_the_same_bytes(seed: u64) {
        let mut random = Random::new(seed);
        let (version, (arrival, departure)) = (random.version(), random.stay());
        prop_assert_eq!(version.validate(), Ok(()));
        let stored = serde_json::to_string(&version).unwrap();
        let (zone, holidays) = (random.zone(), random.holidays());
        let bytes = |version| serde_json::to_string(&bill(version, arrival, departure, zone, &holidays)).unwrap();
        let first = bytes(&version);
        prop_assert_eq!(&bytes(&serde_json::from_str(&stored).unwrap()), &first);
        let read: Bill = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), first);
    }

    #[test]
    fn the_hourly_tariff_charges_started_hours(rate in 0i64..=999_999_999_999, micros in -10i64..=100_000_000_000_000) {
        let arrival = Utc.timestamp_opt(1_800_000_000, 7_000).unwrap();
        let departure = arrival + TimeDelta::microseconds(micros);
        let bill = bill(&Version::hourly("INR", rate), arrival, departure, Tz::Asia__Kolkata, &BTreeSet::new());
        let hours = micros.max(1).unsigned_abs().div_ceil(3_600_000_000);
        prop_assert_eq!(bill.lines.len(), 1);
        prop_assert_eq!(bill.lines[0].quantity.unsigned_abs(), hours);
        let exact = i128::from(rate) * i128::from(hours);
        prop_assert_eq!(bill.total, i64::try_from(exact).unwrap_or(i64::MAX));
    }

    /// Nobody should bill by them; still, it must end.
    #[test]
    fn invalid_versions_give_some_bill(seed: u64, amount: i64, minutes in 0u32..3, per: Option<u32>) {
        let mut random = Random::new(seed);
        let (mut version, (arrival, departure)) = (random.version(), random.stay());
        if let Some(last) = version.lines.last_mut() {
            (last.amount, last.charge) = (amount, Charge::Step { minutes, per_minutes: per });
            last.weekdays.clear();
        }
        version.caps.per_day = Some(amount);
        let holidays = random.holidays();
        let _ = bill(&version, arrival, departure, random.zone(), &holidays);
        let _ = bill(&version, arrival - TimeDelta::days(400), arrival, random.zone(), &holidays);
    }
}
