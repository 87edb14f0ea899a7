//! Times of requests: what is read lies in the years that we promise, and reads as the same instant once more.

use chrono::Datelike;
use chrono_tz::Tz;
use shared::base::time::{parse, rfc3339};

const ZONES: [Tz; 4] = [Tz::UTC, Tz::Asia__Kolkata, Tz::Europe__Berlin, Tz::Pacific__Apia];

/// A time as it comes in a body or a query; its first byte picks the zone.
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
