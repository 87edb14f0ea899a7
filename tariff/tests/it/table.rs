//! Tables of stays with their bills, and short ways to write tariffs.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use tariff::{Bill, Caps, Charge, Elapsed, Line, Rule, Tax, TaxRate, Version, Window, bill, lost_ticket};

/// A tariff where it applies.
pub(crate) struct Table {
    pub(crate) version: Version,
    pub(crate) zone: Tz,
    pub(crate) holidays: BTreeSet<NaiveDate>,
}

/// In euros, without caps, in Berlin.
pub(crate) fn tariff<const N: usize>(lines: [Line; N]) -> Table {
    let version = Version { lines: lines.into(), ..Version::hourly("EUR", 0) };
    Table { version, zone: Tz::Europe__Berlin, holidays: BTreeSet::new() }
}

impl Table {
    pub(crate) fn in_zone(self, zone: Tz) -> Self {
        Self { zone, ..self }
    }

    pub(crate) fn with_holidays(self, dates: &[&str]) -> Self {
        Self { holidays: dates.iter().map(|date| date.parse().unwrap()).collect(), ..self }
    }

    pub(crate) fn capped(self, caps: Caps) -> Self {
        Self { version: Version { caps, ..self.version }, ..self }
    }

    pub(crate) fn free(self, free_minutes: u32) -> Self {
        Self { version: Version { free_minutes, ..self.version }, ..self }
    }

    pub(crate) fn grace(self, exit_grace_minutes: u32) -> Self {
        Self { version: Version { exit_grace_minutes, ..self.version }, ..self }
    }

    pub(crate) fn taxed(self, included: bool, rates: &[(&str, u32)]) -> Self {
        let rate = |&(name, rate): &(&str, u32)| TaxRate { name: name.into(), per_hundred_thousand: rate };
        let tax = Tax { included, rates: rates.iter().map(rate).collect() };
        Self { version: Version { tax, ..self.version }, ..self }
    }

    /// Rows of arrival, departure and bill. Times are local, with an offset where clocks repeat them; a departure such
    /// as `+1:30` is that long after the arrival.
    pub(crate) fn check(&self, rows: &[(&str, &str, &str)]) {
        assert_eq!(self.version.validate(), Ok(()));
        for (arrival, departure, expected) in rows {
            let from = self.instant(arrival);
            let until = match departure.strip_prefix('+') {
                Some(length) => from + time(length),
                None => self.instant(departure),
            };
            let bill = bill(&self.version, from, until, self.zone, &self.holidays);
            assert_eq!(show(&bill), *expected, "{arrival} until {departure}");
        }
    }

    pub(crate) fn check_lost_ticket(&self, at: &str, expected: &str) {
        let bill = lost_ticket(&self.version, self.instant(at), self.zone, &self.holidays);
        assert_eq!(bill.as_ref().map(show).as_deref(), Some(expected), "lost at {at}");
    }

    fn instant(&self, text: &str) -> DateTime<Utc> {
        if let Ok(instant) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M %:z") {
            return instant.to_utc();
        }
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S"));
        self.zone.from_local_datetime(&local.expect(text)).single().expect(text).to_utc()
    }
}

/// Of `1:30` or `1:30:05`.
fn time(text: &str) -> TimeDelta {
    let parts = text.split(':').map(|part| part.parse::<i64>().expect(text));
    let parts: Vec<i64> = parts.chain([0]).collect();
    TimeDelta::seconds(parts[0] * 3600 + parts[1] * 60 + parts[2])
}

/// A bill in a line: `2 x Day 4.00, Maximum per day -1.00 = 3.00`, with taxes before the total.
fn show(bill: &Bill) -> String {
    let money = |amount: i64| {
        let sign = if amount < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", amount.abs() / 100, amount.abs() % 100)
    };
    let lines: Vec<String> = bill
        .lines
        .iter()
        .map(|line| match line.rule {
            Rule::Line { .. } => format!("{} x {} {}", line.quantity, line.name, money(line.amount)),
            Rule::FreeMinutes | Rule::ExitGrace => line.name.clone(),
            _ => format!("{} {}", line.name, money(line.amount)),
        })
        .collect();
    let taxes = bill.tax.iter().map(|tax| format!("; {} {}", tax.name, money(tax.amount)));
    format!("{}{} = {}", lines.join(", "), taxes.collect::<String>(), money(bill.total))
}

/// A price for each step.
pub(crate) fn step(name: &str, amount: i64, minutes: u32) -> Line {
    Line::always(name, amount, Charge::every(minutes))
}

/// A price for each hour that is charged in smaller steps.
pub(crate) fn hourly_in_steps(name: &str, amount: i64, minutes: u32) -> Line {
    Line::always(name, amount, Charge::Step { minutes, per_minutes: Some(60) })
}

pub(crate) fn flat(name: &str, amount: i64) -> Line {
    Line::always(name, amount, Charge::Flat)
}

pub(crate) fn lost(amount: i64) -> Line {
    Line::always("Lost ticket", amount, Charge::LostTicket)
}

pub(crate) trait When {
    /// In a part of each day.
    fn between(self, from: &str, to: &str) -> Self;
    /// In a part of the stay.
    fn minutes(self, from: u32, to: u32) -> Self;
    /// On some days, and not on holidays.
    fn on(self, weekdays: &[Weekday]) -> Self;
    /// Also on holidays.
    fn and_holidays(self) -> Self;
}

impl When for Line {
    fn between(self, from: &str, to: &str) -> Self {
        Self { window: Some(Window { from: from.parse().unwrap(), to: to.parse().unwrap() }), ..self }
    }

    fn minutes(self, from: u32, to: u32) -> Self {
        Self { elapsed: Some(Elapsed { from, to: Some(to) }), ..self }
    }

    fn on(self, weekdays: &[Weekday]) -> Self {
        Self { weekdays: weekdays.into(), holidays: false, ..self }
    }

    fn and_holidays(self) -> Self {
        Self { holidays: true, ..self }
    }
}

pub(crate) fn per_day(cap: i64) -> Caps {
    Caps { per_day: Some(cap), ..Caps::default() }
}

pub(crate) fn per_24_hours(cap: i64) -> Caps {
    Caps { per_24_hours: Some(cap), ..Caps::default() }
}

pub(crate) fn per_stay(cap: i64) -> Caps {
    Caps { per_stay: Some(cap), ..Caps::default() }
}
