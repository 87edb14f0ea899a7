//! A cached response and how it is stored.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// A response as it is sent to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The ETag, with its quotes.
    pub etag: String,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// When the response changes without a write, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// The JSON body.
    pub body: Arc<[u8]>,
}

impl Entry {
    /// A response whose ETag is a hash of its content.
    #[must_use]
    pub fn of(body: Vec<u8>) -> Self {
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..12]));
        Self { etag, next: None, expires_at: None, body: body.into() }
    }
}

/// The version of this layout and of the release, so that no other release reads the response.
const LAYOUT: &str = concat!("2/", env!("CARGO_PKG_VERSION"));

pub(super) fn encode(generations: &[u8], entry: &Entry) -> Vec<u8> {
    let next = entry.next.as_deref().unwrap_or_default();
    let expires = entry.expires_at.map(|at| at.timestamp_micros().to_string()).unwrap_or_default();
    let lines = [
        LAYOUT.as_bytes(),
        generations,
        entry.etag.as_bytes(),
        next.as_bytes(),
        expires.as_bytes(),
        &entry.body,
    ];
    lines.join(&b'\n')
}

/// `None` unless the answer was computed from these generations and has not expired.
pub(super) fn decode(stored: &[u8], generations: &[u8], now: DateTime<Utc>) -> Option<Entry> {
    let mut parts = stored.splitn(6, |byte| *byte == b'\n');
    let is_fresh = parts.next()? == LAYOUT.as_bytes() && parts.next()? == generations;
    let etag = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let next = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let expires_at = match std::str::from_utf8(parts.next()?).ok()? {
        "" => None,
        micros => Some(DateTime::from_timestamp_micros(micros.parse().ok()?)?),
    };
    let next = Some(next).filter(|next| !next.is_empty());
    let entry = Entry { etag, next, expires_at, body: parts.next()?.into() };
    (is_fresh && expires_at.is_none_or(|at| now < at)).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_until_it_expires() {
        let expires = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(60);
        let entry = Entry { expires_at: Some(expires), ..Entry::of(b"{}".to_vec()) };
        let stored = encode(b"x ", &entry);
        assert_eq!(decode(&stored, b"x ", expires - chrono::TimeDelta::microseconds(1)), Some(entry));
        assert_eq!(decode(&stored, b"x ", expires), None);
    }

    #[test]
    fn answers_of_other_generations_or_releases_are_not_read() {
        let entry = Entry::of(b"{\"a\":\n1}".to_vec());
        let decode = |stored: &[u8], generations: &[u8]| decode(stored, generations, DateTime::UNIX_EPOCH);
        let page = Entry { next: Some("7".into()), ..entry.clone() };
        assert_eq!(decode(&encode(b"x y ", &page), b"x y "), Some(page));
        let stored = encode(b"x y ", &entry);
        assert_eq!(decode(&stored, b"x y "), Some(entry));
        assert_eq!(decode(&stored, b"x z "), None);
        let other_release = [b"2/0.0.0".as_slice(), &stored[LAYOUT.len()..]].concat();
        assert_eq!(decode(&other_release, b"x y "), None);
        for cut in 0..LAYOUT.len() + 30 {
            assert_eq!(decode(&stored[..cut.min(stored.len() - 9)], b"x y "), None);
        }
    }
}
