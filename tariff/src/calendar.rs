//! The local day and time of instants. Instants are microseconds since 1970 in UTC.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// The bit of public holidays among the kinds of days; the lower seven are Monday to Sunday.
pub(crate) const HOLIDAY: u8 = 1 << 7;

/// A part of a local day in which the clocks do not change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// Where local time reads 00:00, or would without a change of the clocks.
    pub(crate) midnight: i64,
    /// The instant after it.
    pub(crate) until: i64,
    /// The local day, in days since 1970-01-01.
    pub(crate) day: i64,
    /// The kind of this day, as a bit.
    pub(crate) today: u8,
    /// The kind of the day before, as a bit.
    pub(crate) yesterday: u8,
}

impl Stretch {
    /// For tariffs without local times.
    const TIMELESS: Self = Self { midnight: 0, until: i64::MAX, day: 0, today: u8::MAX, yesterday: u8::MAX };
    const UNKNOWN: Self = Self { until: i64::MIN, ..Self::TIMELESS };
}

/// Answers for instants in ascending order.
pub(crate) struct Calendar<'a> {
    zone: Tz,
    holidays: &'a BTreeSet<NaiveDate>,
    current: Stretch,
}

impl<'a> Calendar<'a> {
    pub(crate) const fn new(zone: Tz, holidays: &'a BTreeSet<NaiveDate>) -> Self {
        Self { zone, holidays, current: Stretch::UNKNOWN }
    }

    /// For which every instant is the same.
    pub(crate) const fn timeless(holidays: &'a BTreeSet<NaiveDate>) -> Self {
        Self { zone: Tz::UTC, holidays, current: Stretch::TIMELESS }
    }

    /// The stretch with `at`.
    pub(crate) fn at(&mut self, at: i64) -> Stretch {
        if at >= self.current.until {
            self.current = self.find(at.div_euclid(SECOND));
        }
        self.current
    }

    fn find(&self, second: i64) -> Stretch {
        let offset = self.offset(second);
        let day = (second + offset).div_euclid(DAY_SECONDS);
        let midnight = day * DAY_SECONDS - offset;
        let end = self.first_change(second, midnight + DAY_SECONDS, offset);
        Stretch {
            midnight: midnight.saturating_mul(SECOND),
            until: end.saturating_mul(SECOND),
            day,
            today: self.kind(day),
            yesterday: self.kind(day - 1),
        }
    }

    /// The first second after `from` with another offset, or `end`. Clocks change at most once a day.
    fn first_change(&self, from: i64, end: i64, offset: i64) -> i64 {
        if self.offset(end - 1) == offset {
            return end;
        }
        let (mut before, mut after) = (from, end - 1);
        while after - before > 1 {
            let middle = i64::midpoint(before, after);
            if self.offset(middle) == offset { before = middle } else { after = middle }
        }
        after
    }

    fn offset(&self, second: i64) -> i64 {
        let offset =
            |instant: DateTime<chrono::Utc>| self.zone.offset_from_utc_datetime(&instant.naive_utc());
        DateTime::from_timestamp(second, 0).map_or(0, |at| i64::from(offset(at).fix().local_minus_utc()))
    }

    fn kind(&self, day: i64) -> u8 {
        if !self.holidays.is_empty() && date(day).is_some_and(|date| self.holidays.contains(&date)) {
            return HOLIDAY;
        }
        // 1970-01-01 was a Thursday.
        1 << (day + 3).rem_euclid(7)
    }
}

/// The date of a day that is counted from 1970-01-01.
pub(crate) fn date(day: i64) -> Option<NaiveDate> {
    i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days)
}
