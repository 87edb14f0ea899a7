//! The walk through a stay, which charges one step after the other.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::{
    bill::{Bill, Rule},
    calendar::Calendar,
    plan::{BLOCK, MINUTE, Plan},
    statement::{Account, Statement},
    tax::saturated,
    version::{Caps, Version},
};

/// The bill for a stay, from `arrival` until `departure`, by the clocks of `zone`.
///
/// The walk begins at the arrival: one step of the line in force is charged, and the next begins where it ends. A step
/// belongs to the local day and to the 24 hours in which it begins.
#[must_use]
pub fn bill(
    version: &Version,
    arrival: DateTime<Utc>,
    departure: DateTime<Utc>,
    zone: Tz,
    holidays: &BTreeSet<NaiveDate>,
) -> Bill {
    let stay = Stay::new(version, arrival, departure);
    let mut statement = Statement::new(version);
    if stay.is_free(version) {
        statement.note(Rule::FreeMinutes, stay.arrival, stay.departure);
    } else {
        let plan = Plan::new(version);
        let calendar =
            if plan.needs_calendar() { Calendar::new(zone, holidays) } else { Calendar::timeless(holidays) };
        stay.walk(&plan, calendar, &mut statement);
    }
    with_taxes(version, statement)
}

/// The bill for a lost ticket: the first such line that applies at `at` instead of the stay; `None` if there is none.
#[must_use]
pub fn lost_ticket(
    version: &Version,
    at: DateTime<Utc>,
    zone: Tz,
    holidays: &BTreeSet<NaiveDate>,
) -> Option<Bill> {
    let at = at.timestamp_micros();
    let plan = Plan::for_lost_tickets(version);
    let stretch = Calendar::new(zone, holidays).at(at);
    let price = plan.price_at(at, 0, &stretch)?;
    let uncapped = Version { caps: Caps::default(), ..version.clone() };
    let mut statement = Statement::new(&uncapped);
    statement.charge(Account { day: stretch.day, block: 0 }, price, 1, at, at);
    Some(with_taxes(version, statement))
}

/// The bill with what has been charged.
fn with_taxes(version: &Version, statement: Statement<'_>) -> Bill {
    let lines = statement.into_lines();
    let price: i128 = lines.iter().map(|line| i128::from(line.amount)).sum();
    let tax = version.tax.on(saturated(price));
    let added: i128 =
        if version.tax.included { 0 } else { tax.iter().map(|tax| i128::from(tax.amount)).sum() };
    Bill { lines, tax, total: saturated(price + added) }
}

/// A stay, in microseconds.
struct Stay {
    arrival: i64,
    departure: i64,
    /// The first instant at which nothing new is charged.
    end: i64,
}

impl Stay {
    /// A departure before the arrival is one at the arrival: the clock of the server went back.
    fn new(version: &Version, arrival: DateTime<Utc>, departure: DateTime<Utc>) -> Self {
        let length = departure.signed_duration_since(arrival).num_microseconds().unwrap_or(i64::MAX).max(0);
        let arrival = arrival.timestamp_micros();
        let departure = arrival.saturating_add(length);
        let end = departure.saturating_sub(i64::from(version.exit_grace_minutes) * MINUTE);
        // The beginning is always charged.
        Self { arrival, departure, end: end.max(arrival.saturating_add(1)) }
    }

    fn is_free(&self, version: &Version) -> bool {
        let free = i64::from(version.free_minutes) * MINUTE;
        free > 0 && self.departure.saturating_sub(self.arrival) <= free
    }

    fn walk(&self, plan: &Plan, mut calendar: Calendar<'_>, statement: &mut Statement<'_>) {
        let mut at = self.arrival;
        let mut flat = None;
        while at < self.departure || at == self.arrival {
            let (age, stretch) = (at - self.arrival, calendar.at(at));
            let change = plan.change_after(at, age, &stretch);
            let Some(price) = plan.price_at(at, age, &stretch) else {
                (at, flat) = (change, None);
                continue;
            };
            if flat == Some(price.line) {
                statement.extend(change.min(self.departure));
                at = change;
                continue;
            }
            if at >= self.end {
                statement.note(Rule::ExitGrace, at, self.departure);
                break;
            }
            let account = Account { day: stretch.day, block: age / BLOCK };
            let (quantity, next) = match price.step {
                Some(step) => {
                    let quantity = steps(change.min(self.end) - at, step);
                    (quantity, at.saturating_add(quantity.saturating_mul(step)))
                }
                None => (1, change),
            };
            statement.charge(account, price, quantity, at, next.min(self.departure));
            flat = price.step.is_none().then_some(price.line);
            at = next;
        }
    }
}

/// How many steps begin within a time.
const fn steps(time: i64, step: i64) -> i64 {
    let begun = if time % step > 0 { 1 } else { 0 };
    time / step + begun
}
