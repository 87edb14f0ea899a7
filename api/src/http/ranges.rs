//! Which part of a file a request for a download means (RFC 9110, sections 13.1.5 and 14.2).
//!
//! `tower_http` sends parts of files, but answers 416 to whatever it does not send, where the RFC lets the header be
//! ignored, and it does not know `If-Range`. So it is only given ranges that are settled here.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};

/// The `Range` with which the request is to be answered: one range of a file of `size` bytes, or one that lies outside of
/// it. `None` if the answer is the whole file. `file` has the validators of the file.
pub(crate) fn settle(
    method: &Method,
    request: &HeaderMap,
    file: &HeaderMap,
    size: u64,
) -> Option<HeaderValue> {
    if method != Method::GET || !is_current(request, file) {
        return None;
    }
    let ranges = parse_range_header(single(request, header::RANGE)?.to_str().ok()?).ok()?;
    if ranges.len() > 1 {
        return None;
    }
    let range = match ranges.validate(size) {
        Ok(ranges) => ranges.first().map(|range| format!("bytes={}-{}", range.start(), range.end()))?,
        Err(RangeUnsatisfiableError::Unsatisfiable) => format!("bytes={size}-"),
        Err(_) => return None,
    };
    HeaderValue::try_from(range).ok()
}

/// Whether the client's copy is of this file: `If-Range` is missing, or has its strong entity tag or its very date.
fn is_current(request: &HeaderMap, file: &HeaderMap) -> bool {
    if !request.contains_key(header::IF_RANGE) {
        return true;
    }
    let Some(validator) = single(request, header::IF_RANGE) else { return false };
    let is_strong = !validator.as_bytes().starts_with(b"W/");
    is_strong && [header::ETAG, header::LAST_MODIFIED].iter().any(|name| file.get(name) == Some(validator))
}

/// The value of a header that is there once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 100;
    const TAG: &str = "\"5f.1-64\"";
    const DATE: &str = "Fri, 20 Nov 2026 13:07:00 GMT";

    fn settled(method: &Method, headers: &[(&'static str, &str)]) -> Option<String> {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let mut file = HeaderMap::new();
        file.insert(header::ETAG, HeaderValue::from_static(TAG));
        file.insert(header::LAST_MODIFIED, HeaderValue::from_static(DATE));
        settle(method, &request, &file, SIZE).map(|range| range.to_str().unwrap().to_owned())
    }

    fn range(value: &str) -> Option<String> {
        settled(&Method::GET, &[("range", value)])
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        for (value, expected) in [
            ("bytes=0-9", "bytes=0-9"),
            ("Bytes=007-9", "bytes=7-9"),
            ("bytes=90-", "bytes=90-99"),
            ("bytes=90-1000", "bytes=90-99"),
            ("bytes=0-99999999999999999999999", "bytes=0-99"),
            ("bytes=-5", "bytes=95-99"),
            ("bytes=-1000", "bytes=0-99"),
            ("bytes=0-9,", "bytes=0-9"),
        ] {
            assert_eq!(range(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn range_outside_the_file_is_unsatisfiable() {
        for value in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(range(value).as_deref(), Some("bytes=100-"), "{value}");
        }
    }

    #[test]
    fn several_ranges_other_units_and_malformed_ranges_are_ignored() {
        for value in [
            "bytes=0-3,10-12",
            "bytes=200-300,400-",
            "items=0-1",
            "seconds=0-",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-3",
            "bytes=a-b",
            "bytes=0-3-5",
            "bytes=+1-2",
            "bytes 0-3",
            "bytes=0-3;x",
            "",
        ] {
            assert_eq!(range(value), None, "{value:?}");
        }
        assert_eq!(settled(&Method::GET, &[("range", "bytes=0-3"), ("range", "bytes=5-6")]), None);
        assert_eq!(settled(&Method::HEAD, &[("range", "bytes=0-3")]), None, "only GET has ranges");
    }

    #[test]
    fn if_range_needs_the_strong_tag_or_the_date() {
        let weak = format!("W/{TAG}");
        for (validator, is_honoured) in [
            (TAG, true),
            (DATE, true),
            (weak.as_str(), false),
            ("\"x\"", false),
            ("Fri, 20 Nov 2026 13:07:01 GMT", false),
            ("Fri, 20 Nov 2026 13:06:59 GMT", false),
            ("*", false),
            ("", false),
        ] {
            let headers = [("range", "bytes=0-3"), ("if-range", validator)];
            assert_eq!(settled(&Method::GET, &headers).is_some(), is_honoured, "{validator}");
        }
        let twice = [("range", "bytes=0-3"), ("if-range", TAG), ("if-range", TAG)];
        assert_eq!(settled(&Method::GET, &twice), None);
    }

    proptest! {
        #[test]
        fn any_range_header_is_settled(value in "(bytes=)?[0-9, -]{0,12}", size in 0_u64..50) {
            let mut request = HeaderMap::new();
            request.insert(header::RANGE, HeaderValue::from_str(&value).unwrap());
            if let Some(range) = settle(&Method::GET, &request, &HeaderMap::new(), size) {
                let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
                let (from, to) = range.split_once('-').unwrap();
                let from: u64 = from.parse().unwrap();
                match to.parse::<u64>() {
                    Ok(to) => prop_assert!(from <= to && to < size),
                    Err(_) => prop_assert_eq!(from, size),
                }
            }
        }
    }
}
