//! How messages show times and durations.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// A local time: `20 Nov 2026, 18:37 IST`.
pub(in crate::parking) fn local_time(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).format("%-d %b %Y, %H:%M %Z").to_string()
}

/// Microseconds as hours with one decimal place: `12.5`.
pub(super) fn hours(micros: i64) -> String {
    let tenths = (micros + 180_000_000) / 360_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
