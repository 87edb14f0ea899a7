//! What a stay is billed by: the hourly rate of the booking, or the terms of a tariff version. Pure.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tariff::{Bill, Version, percent};

use super::{billing, window::Window};
use crate::base::money::Money;

/// The terms of a tariff version, as they are stored: everything that its bills depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The prices.
    pub tariff: Version,
    /// By whose clocks days begin and windows open.
    #[serde(with = "zone")]
    pub zone: Tz,
    /// The public holidays.
    pub holidays: BTreeSet<NaiveDate>,
}

impl Terms {
    /// The bill for a stay.
    #[must_use]
    pub fn bill(&self, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Bill {
        tariff::bill(&self.tariff, arrived, left, self.zone, &self.holidays)
    }

    /// One sentence for each rule.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        self.tariff.in_words(|minor| Money::from_minor(minor).to_string())
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// If it was written by a later release, or changed by hand.
    pub fn read(stored: &str) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(stored)?)
    }
}

/// A line of a bill for people: a price of the tariff, a cap, or a tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownLine {
    /// What it is for.
    pub name: String,
    /// The price, with the symbol of the currency.
    pub amount: String,
}

/// The lines of a bill and its taxes, for mails and printers.
#[must_use]
pub fn bill_lines(bill: &Bill) -> Vec<ShownLine> {
    let shown = |name: String, minor| ShownLine { name, amount: Money::from_minor(minor).to_string() };
    let lines = bill.lines.iter().map(|line| match line.quantity {
        0 | 1 => shown(line.name.clone(), line.amount),
        quantity => shown(format!("{} × {quantity}", line.name), line.amount),
    });
    let sum: i64 = bill.lines.iter().map(|line| line.amount).sum();
    let is_included = sum == bill.total;
    let taxes = bill.tax.iter().map(|tax| {
        let how = if is_included { "Includes " } else { "" };
        shown(format!("{how}{} {} %", tax.name, percent(tax.per_hundred_thousand)), tax.amount)
    });
    lines.chain(taxes).collect()
}

/// How far ahead the next change of a price is looked for.
const HORIZON: TimeDelta = TimeDelta::days(1);

/// What a stay is billed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pricing {
    /// Per started hour, unless there are terms.
    pub hourly_rate: Money,
    /// The terms of the tariff version.
    pub terms: Option<Arc<Terms>>,
}

impl Pricing {
    /// From a row with a rate and the stored terms of a version.
    ///
    /// # Errors
    /// As [`Terms::read`].
    pub fn read(hourly_rate: Money, terms: Option<&str>) -> anyhow::Result<Self> {
        let terms = terms.map(Terms::read).transpose()?.map(Arc::new);
        Ok(Self { hourly_rate, terms })
    }

    /// The bill for a stay, line by line.
    #[must_use]
    pub fn bill(&self, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Bill {
        match &self.terms {
            Some(terms) => terms.bill(arrived, left),
            None => billing::bill(self.hourly_rate, arrived, left),
        }
    }

    /// The total of the [`bill`](Self::bill).
    #[must_use]
    pub fn cost(&self, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Money {
        match &self.terms {
            Some(terms) => Money::from_minor(terms.bill(arrived, left).total),
            None => billing::cost(self.hourly_rate, billing::charged_hours(arrived, left)),
        }
    }

    /// The hours on the bill; `None` if a tariff has other units.
    #[must_use]
    pub fn charged_hours(&self, arrived: DateTime<Utc>, left: DateTime<Utc>) -> Option<i64> {
        self.terms.is_none().then(|| billing::charged_hours(arrived, left))
    }

    /// The price of a window: at an hourly rate its exact length, and otherwise the bill of a stay as long as it.
    #[must_use]
    pub fn quote(&self, Window { from, to }: Window) -> Money {
        match &self.terms {
            Some(_) => self.cost(from, to),
            None => billing::quote(self.hourly_rate, from, to),
        }
    }

    /// The first instant after `now` at which a departure costs something else than `now`, or one before.
    #[must_use]
    pub fn cost_changes_after(&self, arrived: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Some(hours) = self.charged_hours(arrived, now) {
            return Some(arrived + TimeDelta::try_hours(hours)? + TimeDelta::microseconds(1));
        }
        let cost = self.cost(arrived, now);
        let is_same = |at: DateTime<Utc>| self.cost(arrived, at) == cost;
        let (mut same, mut other) = (now, now.checked_add_signed(HORIZON)?);
        if is_same(other) {
            return Some(other);
        }
        // A longer stay never costs less, so the price changes once between an instant with it and one without.
        while other - same > TimeDelta::microseconds(1) {
            let middle = same + (other - same) / 2;
            if is_same(middle) { same = middle } else { other = middle }
        }
        Some(other)
    }
}

mod zone {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;
    use tariff::{Caps, Charge, Line};

    use super::*;

    fn instant(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    fn hourly() -> Pricing {
        Pricing { hourly_rate: Money::from_minor(250), terms: None }
    }

    /// 1.00 for each quarter of an hour, at most 5.00 a day, 10 minutes free.
    fn by_the_quarter() -> Pricing {
        let tariff = Version {
            free_minutes: 10,
            lines: vec![Line::always("Quarter", 100, Charge::every(15))],
            caps: Caps { per_day: Some(500), ..Caps::default() },
            ..Version::hourly("INR", 0)
        };
        let terms = Terms { tariff, zone: Tz::Asia__Kolkata, holidays: BTreeSet::new() };
        Pricing { terms: Some(Arc::new(terms)), ..hourly() }
    }

    #[test]
    fn terms_replace_the_hourly_rate() {
        for (minutes, by_hour, by_tariff, hours) in
            [(5, 250, 0, 1), (10, 250, 0, 1), (11, 250, 100, 1), (16, 250, 200, 1), (61, 500, 500, 2)]
        {
            let (from, to) = (instant(0), instant(minutes * 60));
            assert_eq!(hourly().cost(from, to).minor(), by_hour, "{minutes} minutes");
            assert_eq!(by_the_quarter().cost(from, to).minor(), by_tariff, "{minutes} minutes");
            assert_eq!(hourly().charged_hours(from, to), Some(hours));
            assert_eq!(by_the_quarter().charged_hours(from, to), None);
        }
    }

    #[test]
    fn a_window_is_quoted_exactly_or_by_its_terms() {
        let window = Window { from: instant(0), to: instant(90 * 60) };
        assert_eq!(hourly().quote(window).minor(), 375);
        assert_eq!(by_the_quarter().quote(window).minor(), 500);
    }

    #[test]
    fn terms_are_read_as_they_were_written() {
        let terms = by_the_quarter().terms.unwrap();
        let stored = serde_json::to_string(&*terms).unwrap();
        assert_eq!(Terms::read(&stored).unwrap(), *terms);
        assert!(Terms::read("{}").is_err());
    }

    proptest! {
        #[test]
        fn a_price_changes_when_it_says_and_not_before(seconds in 0i64..30_000) {
            for pricing in [hourly(), by_the_quarter()] {
                let (arrived, now) = (instant(0), instant(seconds));
                let next = pricing.cost_changes_after(arrived, now).unwrap();
                let before = next - TimeDelta::microseconds(1);
                prop_assert_eq!(pricing.cost(arrived, before), pricing.cost(arrived, now));
                prop_assert!(next > now);
                let changes = pricing.cost(arrived, next) != pricing.cost(arrived, now);
                prop_assert!(changes || next == now + HORIZON);
            }
        }
    }
}
