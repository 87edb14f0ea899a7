//! The instants that a cron expression names in a time zone, including around clock changes. Pure.

use std::{fmt, iter};

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc, offset::LocalResult};
use chrono_tz::Tz;
use croner::{Cron, errors::CronError};

/// A missed tick is caught up within this time.
pub const CATCH_UP_WINDOW: TimeDelta = TimeDelta::hours(26);

/// Seconds that exceed every UTC offset and every clock change.
const MAX_SHIFT: i64 = 36 * 3600;

/// A cron expression in a time zone.
///
/// The expression names local times, as if clocks never changed, and each of them is one tick. A local time that occurs
/// twice ticks at its first occurrence. A skipped one ticks right after the gap, or right before it if the gap ends on
/// another day. So a daily expression ticks once on each existing day, and a monthly one once a month.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
}

impl Timetable {
    /// Parses an expression of five fields, such as `0 18 * * *`.
    pub fn new(expression: &str, zone: Tz) -> Result<Self, CronError> {
        Ok(Self { cron: expression.parse()?, zone })
    }

    /// The time zone.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// The ticks after an instant.
    pub fn after(&self, instant: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        let begin = self.local(instant).with_nanosecond(0);
        let begin = begin.map(|local| local.and_utc() - TimeDelta::seconds(1));
        iter::successors(begin, |last| self.next_local(*last))
            .skip(1)
            .filter_map(|local| self.tick(local.naive_utc()))
            .filter(move |tick| *tick > instant)
    }

    /// The newest tick after `since` that is due at `now`, if it is within [`CATCH_UP_WINDOW`].
    #[must_use]
    pub fn newest_due(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.after(since.max(now - CATCH_UP_WINDOW)).take_while(|tick| *tick <= now).last()
    }

    /// The next local time that the expression names. UTC stands for a calendar without clock changes.
    fn next_local(&self, local: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.find_next_occurrence(&local, false).ok()
    }

    fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    /// The instant at which a local time ticks.
    fn tick(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let (before, after) = match self.zone.from_local_datetime(&local) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => {
                return Some(instant.to_utc());
            }
            LocalResult::None => self.around_gap(local)?,
        };
        let day = |instant| self.local(instant).date();
        let instants = [after, before];
        let on_its_day = instants.into_iter().find(|instant| day(*instant) == local.date());
        // The whole day is skipped, and its tick too, unless the next day has none to replace it.
        on_its_day.or_else(|| {
            let next_day = self.next_local(local.and_utc())?.date_naive();
            (next_day != day(after)).then_some(after)
        })
    }

    /// The last second before and the first second after the gap that contains a local time.
    fn around_gap(&self, local: NaiveDateTime) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let second = local.and_utc().timestamp();
        let (mut before, mut after) = (second - MAX_SHIFT, second + MAX_SHIFT);
        while after - before > 1 {
            let middle = before.midpoint(after);
            let is_before = self.local(DateTime::from_timestamp(middle, 0)?) < local;
            *(if is_before { &mut before } else { &mut after }) = middle;
        }
        DateTime::from_timestamp(before, 0).zip(DateTime::from_timestamp(after, 0))
    }
}

/// The expression and the zone: `0 18 * * * Asia/Kolkata`.
impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cron.as_str(), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{Datelike, NaiveDate};

    use super::*;
    use crate::base::time::rfc3339;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ticks(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone: Tz = zone.parse().unwrap();
        let timetable = Timetable::new(expression, zone).unwrap();
        let shown = |tick: DateTime<Utc>| {
            format!("{} = {}", tick.with_timezone(&zone).format("%d %H:%M:%S"), rfc3339(tick))
        };
        timetable.after(at(from)).take(count).map(shown).collect()
    }

    #[test]
    fn a_skipped_local_time_ticks_after_the_gap() {
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            [
                "28 02:30:00 = 2026-03-28T01:30:00Z",
                "29 03:00:00 = 2026-03-29T01:00:00Z",
                "30 02:30:00 = 2026-03-30T00:30:00Z"
            ]
        );
        assert_eq!(
            ticks("0 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 1),
            ["29 03:00:00 = 2026-03-29T01:00:00Z"]
        );
        // Half an hour, and midnight itself.
        assert_eq!(
            ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 1),
            ["04 02:30:00 = 2026-10-03T15:30:00Z"]
        );
        assert_eq!(
            ticks("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2),
            ["24 01:00:00 = 2026-04-23T22:00:00Z", "25 00:00:00 = 2026-04-24T21:00:00Z"]
        );
    }

    #[test]
    fn a_repeated_local_time_ticks_at_its_first_occurrence() {
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["25 02:30:00 = 2026-10-25T00:30:00Z", "26 02:30:00 = 2026-10-26T01:30:00Z"]
        );
        // From a moment between the two occurrences, and from the second one.
        for now in ["2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"] {
            assert_eq!(
                ticks("30 2 * * *", "Europe/Berlin", now, 1),
                ["26 02:30:00 = 2026-10-26T01:30:00Z"],
                "{now}"
            );
        }
    }

    #[test]
    fn a_gap_across_midnight_ticks_before_midnight() {
        assert_eq!(
            ticks("30 23 * * *", "America/Nuuk", "2026-03-27T12:00:00Z", 3),
            [
                "27 23:30:00 = 2026-03-28T01:30:00Z",
                "28 22:59:59 = 2026-03-29T00:59:59Z",
                "29 23:30:00 = 2026-03-30T00:30:00Z"
            ]
        );
    }

    #[test]
    fn a_skipped_day_keeps_its_monthly_but_not_its_daily_tick() {
        assert_eq!(
            ticks("0 2 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
            [
                "29 02:00:00 = 2011-12-29T12:00:00Z",
                "31 02:00:00 = 2011-12-30T12:00:00Z",
                "01 02:00:00 = 2011-12-31T12:00:00Z"
            ]
        );
        assert_eq!(
            ticks("0 9 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z", 2),
            ["31 00:00:00 = 2011-12-30T10:00:00Z", "30 09:00:00 = 2012-01-29T19:00:00Z"]
        );
    }

    /// The local days of a year are collected by reading a clock every half hour.
    #[test]
    fn each_local_day_and_each_month_has_one_tick() {
        let zones = [
            ("Europe/Berlin", 2026),
            ("Asia/Kolkata", 2026),
            ("America/Nuuk", 2026),
            ("Africa/Cairo", 2026),
            ("Australia/Lord_Howe", 2026),
            ("America/Havana", 2026),
            ("Africa/Casablanca", 2026),
            ("Antarctica/Troll", 2026),
            ("America/Sao_Paulo", 2018),
            ("Pacific/Apia", 2011),
            ("Pacific/Kwajalein", 1993),
            ("Pacific/Kwajalein", 1969),
        ];
        for (name, year) in zones {
            let zone: Tz = name.parse().unwrap();
            let from = at(&format!("{year}-01-01T00:00:00Z"));
            let day = |instant: DateTime<Utc>| instant.with_timezone(&zone).date_naive();
            let shown: BTreeSet<NaiveDate> =
                (0..365 * 48).map(|half_hours| day(from + TimeDelta::minutes(30 * half_hours))).collect();
            let (first, last) = (*shown.first().unwrap(), *shown.last().unwrap());
            for (hour, minute) in [(0, 0), (0, 30), (1, 59), (2, 0), (2, 15), (3, 0), (18, 0), (23, 30)] {
                let daily = Timetable::new(&format!("{minute} {hour} * * *"), zone).unwrap();
                let ticks = daily.after(from - TimeDelta::days(2)).map(day).skip_while(|day| *day < first);
                let ticks: Vec<_> = ticks.take_while(|day| *day <= last).collect();
                assert_eq!(ticks, shown.iter().copied().collect::<Vec<_>>(), "{hour}:{minute} in {name}");
            }
            let monthly = Timetable::new("0 2 1 * *", zone).unwrap();
            let months: Vec<_> =
                monthly.after(from + TimeDelta::days(2)).map(|tick| day(tick).month()).take(11).collect();
            assert_eq!(months, (2..=12).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn only_the_newest_tick_within_26_hours_is_due() {
        let timetable = Timetable::new("0 2 * * *", Tz::Asia__Kolkata).unwrap();
        let (long_ago, tick) = (at("2026-01-01T00:00:00Z"), at("2026-11-23T20:30:00Z"));
        let due = |since, now| timetable.newest_due(since, now);
        assert_eq!(due(long_ago, tick - TimeDelta::microseconds(1)), Some(tick - TimeDelta::days(1)));
        assert_eq!(due(long_ago, tick), Some(tick));
        assert_eq!(due(long_ago, tick + TimeDelta::hours(23)), Some(tick));
        assert_eq!(due(long_ago, tick + TimeDelta::hours(25)), Some(tick + TimeDelta::days(1)));
        assert_eq!(due(tick, tick + TimeDelta::hours(23)), None, "it was before");
        let monthly = Timetable::new("0 9 1 * *", Tz::Asia__Kolkata).unwrap();
        let tick = at("2026-11-01T03:30:00Z");
        assert_eq!(monthly.newest_due(long_ago, tick + CATCH_UP_WINDOW - TimeDelta::seconds(1)), Some(tick));
        assert_eq!(monthly.newest_due(long_ago, tick + CATCH_UP_WINDOW), None);
    }
}
