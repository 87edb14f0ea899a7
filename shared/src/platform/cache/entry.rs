//! A cached answer and how it is stored.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// An answer as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// With its quotes.
    pub etag: String,
    /// For a list that is not whole: where its next part begins.
    pub next: Option<String>,
    /// JSON.
    pub body: Arc<[u8]>,
}

impl Entry {
    /// An answer that is told from others by its content.
    #[must_use]
    pub fn of(body: Vec<u8>) -> Self {
        let digest = Sha256::digest(&body);
        let etag = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { etag: format!("\"{etag}\""), next: None, body: body.into() }
    }
}

/// Names the layout of an answer and the release that made it, so that no other reads it.
const LAYOUT: &str = concat!("1/", env!("CARGO_PKG_VERSION"));

pub(super) fn encode(generations: &[u8], entry: &Entry) -> Vec<u8> {
    let next = entry.next.as_deref().unwrap_or_default();
    let lines = [LAYOUT.as_bytes(), generations, entry.etag.as_bytes(), next.as_bytes(), &entry.body];
    lines.join(&b'\n')
}

pub(super) fn decode(kept: &[u8], generations: &[u8]) -> Option<Entry> {
    let mut parts = kept.splitn(5, |byte| *byte == b'\n');
    let fresh = parts.next()? == LAYOUT.as_bytes() && parts.next()? == generations;
    let etag = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let next = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let entry = Entry { etag, next: Some(next).filter(|next| !next.is_empty()), body: parts.next()?.into() };
    fresh.then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_other_generations_or_releases_are_not_read() {
        let entry = Entry::of(b"{\"a\":\n1}".to_vec());
        let part = Entry { next: Some("7".into()), ..entry.clone() };
        assert_eq!(decode(&encode(b"x y ", &part), b"x y "), Some(part));
        let kept = encode(b"x y ", &entry);
        assert_eq!(decode(&kept, b"x y "), Some(entry));
        assert_eq!(decode(&kept, b"x z "), None);
        let of_another_release = [b"1/0.0.0".as_slice(), &kept[LAYOUT.len()..]].concat();
        assert_eq!(decode(&of_another_release, b"x y "), None);
        for cut in 0..LAYOUT.len() + 30 {
            assert_eq!(decode(&kept[..cut.min(kept.len() - 9)], b"x y "), None);
        }
    }
}
