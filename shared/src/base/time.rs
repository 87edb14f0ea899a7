//! Instants in JSON, and times in requests.

use chrono::{
    DateTime, Datelike, FixedOffset, LocalResult, NaiveDate, NaiveTime, SecondsFormat, TimeZone, Utc,
};
use chrono_tz::Tz;

/// RFC 3339 in UTC with `Z`, and with 0, 3 or 6 fraction digits as needed.
#[must_use]
pub fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// For `#[serde(with)]`: instants in JSON.
pub mod wire {
    use super::{DateTime, Utc, rfc3339};

    /// Writes an instant.
    pub fn serialize<S: serde::Serializer>(
        instant: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*instant))
    }

    /// For instants that may be missing.
    pub mod option {
        use super::{DateTime, Utc, rfc3339};

        /// Writes an instant or null.
        pub fn serialize<S: serde::Serializer>(
            instant: &Option<DateTime<Utc>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match instant {
                Some(instant) => serializer.serialize_some(&rfc3339(*instant)),
                None => serializer.serialize_none(),
            }
        }
    }
}

/// Reads a time from a request: RFC 3339, and what clients send in its place: no seconds, a blank or a lower-case letter, an
/// offset such as `+0530` or `+05`. Without an offset it is local to `zone`; a day alone is the first instant of that local day.
///
/// # Errors
/// What is wrong with it, for example that a clock change skips or repeats the local time.
pub fn parse(text: &str, zone: Tz) -> Result<DateTime<Utc>, String> {
    let (day, rest) = match text.trim().split_once(['T', 't', ' ']) {
        Some((day, rest)) => (day, Some(rest.trim_start())),
        None => (text.trim(), None),
    };
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| FORM)?;
    if !(1969..=9999).contains(&day.year()) {
        return Err(YEARS.into());
    }
    let Some(rest) = rest else { return in_range(start_of_day(day, zone)) };
    let (time, offset) = time_and_offset(rest).ok_or(FORM)?;
    let local = day.and_time(time);
    if let Some(offset) = offset {
        return in_range(local.and_utc() - offset);
    }
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) => in_range(instant.with_timezone(&Utc)),
        LocalResult::Ambiguous(..) => Err(format!("{local} happens twice in {zone}; add an offset")),
        LocalResult::None => Err(format!("{local} does not exist in {zone}; add an offset")),
    }
}

const FORM: &str = "must be an ISO 8601 time such as 2026-11-20T18:30:00Z";
const YEARS: &str = "must be a year from 1970 to 9998";

/// `18:30`, `18:30:00` or `18:30:00.5`, and the offset that follows it.
fn time_and_offset(text: &str) -> Option<(NaiveTime, Option<FixedOffset>)> {
    let is_time = |c: char| c.is_ascii_digit() || ":.,".contains(c);
    let (time, rest) = text.split_at(text.find(|c| !is_time(c)).unwrap_or(text.len()));
    let offset = if rest.is_empty() { None } else { Some(offset(rest)?) };
    let time = time.replace(',', ".");
    let read = |format: &&str| NaiveTime::parse_from_str(&time, format).ok();
    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(read).map(|time| (time, offset))
}

/// `Z`, `+05:30`, `+0530` or `+05`. Query strings turn a `+` into a blank.
fn offset(text: &str) -> Option<FixedOffset> {
    let trimmed = text.trim_start();
    if ["Z", "UTC", "GMT"].iter().any(|utc| trimmed.eq_ignore_ascii_case(utc)) {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match trimmed.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => (-1, digits),
        None => (1, trimmed.strip_prefix('+').or_else(|| text.strip_prefix(' '))?.trim_start()),
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let two_digits = |text: &str, most: i32| {
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.filter(|number| text.len() == 2 && *number <= most)
    };
    let minutes = match minutes {
        "" => 0,
        text => two_digits(text.strip_prefix(':').unwrap_or(text), 59)?,
    };
    FixedOffset::east_opt(sign * (two_digits(hours, 23)? * 3600 + minutes * 60))
}

/// The first instant of a local day. Where a clock change skips midnight, the day begins with the change.
#[must_use]
pub fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    const DAY: i64 = 86_400;
    let midnight = day.and_time(NaiveTime::MIN);
    if let Some(first) = zone.from_local_datetime(&midnight).earliest() {
        return first.with_timezone(&Utc);
    }
    let second = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let is_before = |seconds| second(seconds).with_timezone(&zone).date_naive() < day;
    let (mut before, mut after) =
        (midnight.and_utc().timestamp() - DAY, midnight.and_utc().timestamp() + DAY);
    while after - before > 1 {
        let middle = before.midpoint(after);
        if is_before(middle) { before = middle } else { after = middle }
    }
    second(after)
}

/// Whole microseconds in years that both databases and all clients support.
fn in_range(instant: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    DateTime::from_timestamp_micros(instant.timestamp_micros())
        .filter(|_| (1970..=9998).contains(&instant.year()))
        .ok_or_else(|| YEARS.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text, chrono_tz::Europe::Berlin).map(rfc3339)
    }

    #[test]
    fn offsets_and_local_times_are_parsed() {
        assert_eq!(read("2026-11-20T18:30:00Z").unwrap(), "2026-11-20T18:30:00Z");
        assert_eq!(read("2026-11-20T18:30:00+05:30").unwrap(), "2026-11-20T13:00:00Z");
        assert_eq!(read("2026-11-20T18:30:00").unwrap(), "2026-11-20T17:30:00Z");
        assert_eq!(read("2026-07-01").unwrap(), "2026-06-30T22:00:00Z");
    }

    /// Case 14.
    #[test]
    fn variants_of_rfc_3339_are_parsed() {
        for text in [
            "2027-03-01T18:30Z",
            "2027-03-01T18:30:00+0000",
            "2027-03-01T18:30:00+00",
            "2027-03-01T18:30:00-00:00",
            "2027-03-01t18:30:00z",
            "2027-03-01 18:30:00Z",
            "2027-03-01 18:30:00 +0000",
            "2027-03-01 18:30:00 UTC",
            "2027-03-01T18:30:00.000Z",
            "2027-03-01T18:30:00,0Z",
            "2027-03-02T00:00:00+05:30",
            "2027-03-02T00:00+0530",
            "2027-03-02 00:00:00.0 05:30",
            "2027-03-02T00:00:00 0530",
            "2027-03-01T23:30:00 05",
            "2027-03-01T13:30:00\u{2212}05:00",
            "2027-03-01T08:00-10:30",
            "2027-03-01 19:30",
            "2027-03-01t19:30:00",
            "  2027-03-01T19:30:00.0\n",
        ] {
            assert_eq!(read(text).as_deref(), Ok("2027-03-01T18:30:00Z"), "{text}");
        }
    }

    /// Case 15.
    #[test]
    fn a_day_starts_where_the_clock_change_ends() {
        use chrono_tz::{Africa::Cairo, America::Santiago, Asia::Beirut, Pacific::Apia};
        for (day, zone, start) in [
            ("2026-09-06", Santiago, "2026-09-06T04:00:00Z"),
            ("2026-09-05", Santiago, "2026-09-05T04:00:00Z"),
            ("2026-09-07", Santiago, "2026-09-07T03:00:00Z"),
            ("2026-04-24", Cairo, "2026-04-23T22:00:00Z"),
            ("2022-03-27", Beirut, "2022-03-26T22:00:00Z"),
            ("2011-12-30", Apia, "2011-12-30T10:00:00Z"),
            ("2026-04-05", Santiago, "2026-04-05T04:00:00Z"),
        ] {
            assert_eq!(parse(day, zone).map(rfc3339).as_deref(), Ok(start), "{day} in {zone}");
        }
        let skipped = parse("2026-09-06T00:30", Santiago).unwrap_err();
        assert!(skipped.contains("does not exist in America/Santiago"), "{skipped}");
        assert!(parse("2026-09-06 00:00:00", Santiago).is_err(), "a time is not a day");
    }

    #[test]
    fn instants_have_whole_microseconds_and_no_leap_seconds() {
        assert_eq!(read("2026-11-20T18:30:00.123456789Z").unwrap(), "2026-11-20T18:30:00.123456Z");
        assert_eq!(read("2026-12-31T23:59:60Z").unwrap(), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn local_times_skipped_or_repeated_are_rejected() {
        assert!(read("2026-03-29T02:30:00").unwrap_err().contains("does not exist"));
        assert!(read("2026-10-25T02:30:00").unwrap_err().contains("happens twice"));
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "0001-01-01T00:00:00Z",
            "9999-12-31T00:00:00Z",
            "2027-03-01T",
            "2027-03-01T18",
            "2027-03-01T18:30:00+5",
            "2027-03-01T18:30:00+05:",
            "2027-03-01T18:30:00+05:60",
            "2027-03-01T18:30:00+24:00",
            "2027-03-01T18:30:00+053",
            "2027-03-01T18:30:00+05:30:00",
            "2027-03-01T18:30:00+é5",
            "2027-03-01T18:30:00 IST",
            "2027-03-01T18:30:00ZZ",
            "2027-03-01T25:00Z",
            "2027-03-01T18:60Z",
            "262142-01-01",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
