//! Instants in JSON, and times in requests.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc};
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

/// Reads a time from a request: RFC 3339, or a local time or day without offset in `zone`.
///
/// # Errors
/// What is wrong with it, for example that a clock change skips or repeats the local time.
pub fn parse(text: &str, zone: Tz) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return in_range(instant.with_timezone(&Utc));
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN)))
        .ok_or("must be an ISO 8601 time such as 2026-11-20T18:30:00Z")?;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) => in_range(instant.with_timezone(&Utc)),
        LocalResult::Ambiguous(..) => Err(format!("{local} happens twice in {zone}; add an offset")),
        LocalResult::None => Err(format!("{local} does not exist in {zone}; add an offset")),
    }
}

/// Whole microseconds in years that both databases and all clients support.
fn in_range(instant: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let year = chrono::Datelike::year(&instant);
    DateTime::from_timestamp_micros(instant.timestamp_micros())
        .filter(|_| (1970..=9998).contains(&year))
        .ok_or_else(|| "must be a year from 1970 to 9998".into())
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
        for text in ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
