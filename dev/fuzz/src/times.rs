//! Times in requests: a parsed time lies in the supported years, and is parsed as the same instant after formatting.

use chrono::Datelike;
use chrono_tz::Tz;
use shared::base::time::{parse, rfc3339};

const ZONES: [Tz; 4] = [Tz::UTC, Tz::Asia__Kolkata, Tz::Europe__Berlin, Tz::Pacific__Apia];

/// The input as a time in a body or a query; its first byte selects the zone.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let zone = ZONES[usize::from(*first) % ZONES.len()];
    match parse(text, zone) {
        Ok(instant) => {
            assert!((1970..=9998).contains(&instant.year()), "{text:?} is {instant}");
            assert_eq!(parse(&rfc3339(instant), zone), Ok(instant), "{text:?}");
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}
