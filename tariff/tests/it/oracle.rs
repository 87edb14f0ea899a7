//! A second calculation of the same bills, minute by minute, in fractions and with dates of the local calendar.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use tariff::{Charge, Line, Version, bill};

use crate::random::Random;

/// How many random tariffs, and how many stays of a year for each. The defaults are quick enough for every change;
/// CONTRIBUTING.md has the full size.
#[expect(clippy::disallowed_methods, reason = "an option of the tests, not a setting")]
fn size(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
fn bills_equal_those_of_a_walk_by_minutes() {
    let (tariffs, stays) = (size("PARKADE_TARIFFS", 80), size("PARKADE_TARIFF_STAYS", 20));
    for seed in 0..tariffs {
        let mut random = Random::new(seed);
        let (version, zone, holidays) = (random.version(), random.zone(), random.holidays());
        for _ in 0..stays {
            let (arrival, departure) = random.stay();
            let bill = bill(&version, arrival, departure, zone, &holidays);
            let expected = Oracle { version: &version, zone, holidays: &holidays }.total(arrival, departure);
            assert_eq!(
                i128::from(bill.total),
                expected,
                "tariff {seed}, {zone}, {arrival} until {departure}: {bill:#?} {version:#?}"
            );
        }
    }
    println!("{} bills of {tariffs} tariffs", tariffs * stays);
}

/// A numerator and a denominator.
#[derive(Clone, Copy)]
struct Fraction(i128, i128);

impl Fraction {
    fn plus(self, other: Self) -> Self {
        let (above, below) = (self.0 * other.1 + other.0 * self.1, self.1 * other.1);
        let (mut a, mut b) = (above.abs(), below);
        while a != 0 {
            (a, b) = (b % a, a);
        }
        Self(above / b, below / b)
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self(-other.0, other.1))
    }

    fn min(self, other: Self) -> Self {
        if self.0 * other.1 < other.0 * self.1 { self } else { other }
    }

    fn rounded(self) -> i128 {
        self.plus(Self(1, 2)).0.div_euclid(self.plus(Self(1, 2)).1)
    }
}

struct Oracle<'a> {
    version: &'a Version,
    zone: Tz,
    holidays: &'a BTreeSet<NaiveDate>,
}

impl Oracle<'_> {
    fn total(&self, arrival: DateTime<Utc>, departure: DateTime<Utc>) -> i128 {
        let free = TimeDelta::minutes(self.version.free_minutes.into());
        let price = if free > TimeDelta::zero() && departure - arrival <= free {
            0
        } else {
            self.charges(arrival, departure).rounded()
        };
        let tax = &self.version.tax;
        let rates = tax.rates.iter().filter(|_| !tax.included).map(|rate| rate.per_hundred_thousand);
        price + rates.map(|rate| Fraction(price * i128::from(rate), 100_000).rounded()).sum::<i128>()
    }

    fn charges(&self, arrival: DateTime<Utc>, departure: DateTime<Utc>) -> Fraction {
        let grace = TimeDelta::minutes(self.version.exit_grace_minutes.into());
        let mut by_day: HashMap<NaiveDate, Fraction> = HashMap::new();
        let mut by_block: HashMap<i64, Fraction> = HashMap::new();
        let mut sum = Fraction(0, 1);
        let (mut minute, mut paid_until, mut last_flat) = (arrival, arrival, None);
        while minute < departure || minute == arrival {
            if minute >= paid_until {
                let local = minute.with_timezone(&self.zone).naive_local();
                let age = (minute - arrival).num_minutes();
                let (index, line) = self.line(local, age);
                if last_flat != Some(index) {
                    if minute != arrival && minute + grace >= departure {
                        break;
                    }
                    let mut amount = price(line);
                    let caps = self.version.caps;
                    let day = by_day.entry(local.date()).or_insert(Fraction(0, 1));
                    let block = by_block.entry(age.div_euclid(1440)).or_insert(Fraction(0, 1));
                    for (cap, used) in
                        [(caps.per_day, *day), (caps.per_24_hours, *block), (caps.per_stay, sum)]
                    {
                        if let Some(cap) = cap {
                            amount = amount.min(Fraction(cap.into(), 1).minus(used));
                        }
                    }
                    (*day, *block, sum) = (day.plus(amount), block.plus(amount), sum.plus(amount));
                }
                last_flat = match line.charge {
                    Charge::Step { minutes, .. } => {
                        paid_until = minute + TimeDelta::minutes(minutes.into());
                        None
                    }
                    _ => Some(index),
                };
            }
            minute += TimeDelta::minutes(1);
        }
        sum
    }

    /// The first line that applies.
    fn line(&self, local: NaiveDateTime, age: i64) -> (usize, &Line) {
        let mut lines = self.version.lines.iter().enumerate();
        lines.find(|(_, line)| self.applies(line, local, age)).expect("the last line always applies")
    }

    fn applies(&self, line: &Line, local: NaiveDateTime, age: i64) -> bool {
        if line.charge == Charge::LostTicket {
            return false;
        }
        if let Some(range) = line.elapsed
            && (age < i64::from(range.from) || range.to.is_some_and(|to| age >= i64::from(to)))
        {
            return false;
        }
        // Whether the local time is in the window that opened on one of two days.
        let mut opened_on = [local.date(), local.date() - TimeDelta::days(1)].into_iter();
        opened_on.any(|date| {
            let (from, to) = line.window.map_or((0, 1440), |window| {
                let (from, to) = (i64::from(window.from.minutes()), i64::from(window.to.minutes()));
                if from < to { (from, to) } else { (from, to + 1440) }
            });
            let midnight = date.and_time(chrono::NaiveTime::MIN);
            let is_within =
                local >= midnight + TimeDelta::minutes(from) && local < midnight + TimeDelta::minutes(to);
            is_within && self.is_day_of(line, date)
        })
    }

    fn is_day_of(&self, line: &Line, date: NaiveDate) -> bool {
        if self.holidays.contains(&date) { line.holidays } else { line.weekdays.contains(&date.weekday()) }
    }
}

/// Of a step, or the flat amount.
fn price(line: &Line) -> Fraction {
    match line.charge {
        Charge::Step { minutes, per_minutes: Some(per) } => {
            Fraction(i128::from(line.amount) * i128::from(minutes), per.into())
        }
        _ => Fraction(line.amount.into(), 1),
    }
}
