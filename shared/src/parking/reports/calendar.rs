//! Calendar days and months of a time zone as spans of instants, and their labels. Pure.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::base::time::start_of_day;

/// Months in a report.
pub(super) const MONTHS: u32 = 12;

/// A calendar day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first day.
    pub date: NaiveDate,
    /// Its first instant.
    pub begins: DateTime<Utc>,
    /// The first instant after it.
    pub ends: DateTime<Utc>,
}

impl Period {
    /// A month's name and year: `November 2026`.
    #[must_use]
    pub fn month_and_year(&self) -> String {
        self.date.format("%B %Y").to_string()
    }

    /// A month's short name: `Nov`.
    #[must_use]
    pub fn short_month(&self) -> String {
        self.date.format("%b").to_string()
    }

    /// Whether the instant lies in it.
    #[must_use]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.begins <= instant && instant < self.ends
    }
}

/// The `count` months that end with the month of `now`, oldest first.
#[must_use]
pub fn months(now: DateTime<Utc>, zone: Tz, count: u32) -> Vec<Period> {
    let today = now.with_timezone(&zone).date_naive();
    let this = today.with_day(1).unwrap_or(today);
    let first = |back| this.checked_sub_months(Months::new(back)).unwrap_or(this);
    let next = this.checked_add_months(Months::new(1)).unwrap_or(this);
    periods((0..count).rev().map(first).chain([next]), zone)
}

/// The month that begins with a day.
#[must_use]
pub fn month_of(first: NaiveDate, zone: Tz) -> Period {
    let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
    Period { date: first, begins: start_of_day(first, zone), ends: start_of_day(next, zone) }
}

/// The month before the one of `now`.
#[must_use]
pub fn last_month(now: DateTime<Utc>, zone: Tz) -> Period {
    let today = now.with_timezone(&zone).date_naive();
    let this = today.with_day(1).unwrap_or(today);
    month_of(this.checked_sub_months(Months::new(1)).unwrap_or(this), zone)
}

/// The `count` days that end with the day of `now`, oldest first.
#[must_use]
pub fn days(now: DateTime<Utc>, zone: Tz, count: u32) -> Vec<Period> {
    let today = now.with_timezone(&zone).date_naive();
    let day = |back| today.checked_sub_days(Days::new(back)).unwrap_or(today);
    let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
    periods((0..u64::from(count)).rev().map(day).chain([tomorrow]), zone)
}

/// The periods from each date to the next.
fn periods(dates: impl Iterator<Item = NaiveDate>, zone: Tz) -> Vec<Period> {
    let begins: Vec<_> = dates.map(|date| (date, start_of_day(date, zone))).collect();
    begins.windows(2).map(|two| Period { date: two[0].0, begins: two[0].1, ends: two[1].1 }).collect()
}

/// An offset from UTC, and since when it has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// The first instant with this offset.
    pub from: DateTime<Utc>,
    /// Local time minus UTC.
    pub offset: TimeDelta,
}

/// The zone's offset at `first`, and every change until `last`.
#[must_use]
pub fn offsets(first: DateTime<Utc>, last: DateTime<Utc>, zone: Tz) -> Vec<Offsets> {
    let offset = |at: DateTime<Utc>| {
        TimeDelta::seconds(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    };
    let mut found = vec![Offsets { from: first, offset: offset(first) }];
    let mut at = first;
    while at < last {
        let next = (at + TimeDelta::days(1)).min(last);
        if offset(next) != offset(at) {
            let from = change_between(at, next, offset);
            found.push(Offsets { from, offset: offset(next) });
        }
        at = next;
    }
    found
}

/// The first whole second with the new offset.
fn change_between(
    before: DateTime<Utc>,
    after: DateTime<Utc>,
    offset: impl Fn(DateTime<Utc>) -> TimeDelta,
) -> DateTime<Utc> {
    let second = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or(before);
    let (mut old, mut new) = (before.timestamp(), after.timestamp());
    while new - old > 1 {
        let middle = old + (new - old) / 2;
        if offset(second(middle)) == offset(before) { old = middle } else { new = middle }
    }
    second(new)
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::Sao_Paulo, Asia::Kolkata, Europe::Berlin, Pacific::Apia};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Defect 26.
    #[test]
    fn twelve_months_are_distinct_on_any_day() {
        for (now, first, last) in [
            ("2026-03-31T12:00:00Z", "April 2025", "March 2026"),
            ("2026-04-30T12:00:00Z", "May 2025", "April 2026"),
            ("2026-05-31T18:29:59.999999Z", "June 2025", "May 2026"),
            ("2026-05-31T18:30:00Z", "July 2025", "June 2026"),
            ("2028-03-01T00:00:00Z", "April 2027", "March 2028"),
        ] {
            let mut labels: Vec<_> =
                months(at(now), Kolkata, 12).iter().map(Period::month_and_year).collect();
            assert_eq!((labels[0].as_str(), labels[11].as_str()), (first, last));
            labels.sort();
            labels.dedup();
            assert_eq!(labels.len(), 12);
        }
    }

    #[test]
    fn clock_change_days_have_23_or_25_hours() {
        let hours = |now: &str, zone| {
            let day = days(at(now), zone, 1)[0];
            (day.ends - day.begins).num_hours()
        };
        assert_eq!(hours("2026-03-29T12:00:00Z", Berlin), 23);
        assert_eq!(hours("2026-10-25T12:00:00Z", Berlin), 25);
        assert_eq!(hours("2026-10-26T12:00:00Z", Berlin), 24);
        assert_eq!(hours("2018-11-04T12:00:00Z", Sao_Paulo), 23, "midnight does not exist");
        assert_eq!(hours("2018-02-17T12:00:00Z", Sao_Paulo), 25);
        let skipped = days(at("2011-12-31T00:00:00Z"), Apia, 3);
        assert_eq!(skipped[1].date.to_string(), "2011-12-30");
        assert_eq!(skipped[1].begins, skipped[1].ends, "a day that Samoa skipped");
    }

    #[test]
    fn offset_changes_are_exact_to_the_second() {
        let found = offsets(at("2026-01-01T00:00:00.5Z"), at("2026-12-31T00:00:00Z"), Berlin);
        let found: Vec<_> = found.iter().map(|one| (one.from, one.offset.num_hours())).collect();
        let expected =
            [("2026-01-01T00:00:00.5Z", 1), ("2026-03-29T01:00:00Z", 2), ("2026-10-25T01:00:00Z", 1)];
        assert_eq!(found, expected.map(|(from, hours)| (at(from), hours)));
    }

    fn any_zone() -> impl Strategy<Value = Tz> {
        prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
    }

    proptest! {
        #[test]
        fn periods_are_contiguous_and_the_last_contains_now(
            seconds in 0..4_000_000_000_i64, micros in 0..1_000_000_u32, zone in any_zone(), count in 1..40_u32,
        ) {
            let now = DateTime::from_timestamp(seconds, micros * 1000).unwrap();
            for periods in [days(now, zone, count), months(now, zone, count)] {
                prop_assert_eq!(periods.len(), count as usize);
                for two in periods.windows(2) {
                    prop_assert_eq!(two[0].ends, two[1].begins);
                    prop_assert!(two[0].date < two[1].date && two[0].begins <= two[0].ends);
                }
                // In zones that repeat the hour before midnight, its second occurrence counts as the next day.
                let last = periods[periods.len() - 1];
                prop_assert!(last.begins <= now && now - TimeDelta::hours(1) < last.ends, "{now} {last:?}");
            }
        }

        #[test]
        fn local_time_is_the_instant_plus_its_offset(
            first in 0..2_000_000_000_i64, days in 0..3_000_i64, part in 0.0..1.0_f64, zone in any_zone(),
        ) {
            let second = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let last = first + days * 86_400;
            #[expect(clippy::cast_possible_truncation, reason = "between first and last")]
            let now = second(first + ((last - first) as f64 * part) as i64);
            let found = offsets(second(first), second(last), zone);
            let current = found.iter().rev().find(|one| one.from <= now).unwrap();
            prop_assert_eq!((now + current.offset).naive_utc(), now.with_timezone(&zone).naive_local());
        }
    }
}
