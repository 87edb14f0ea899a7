//! The entity tag of a lot and its check against `If-Match`. Pure.

use super::lot::Lot;

/// A strong entity tag: it changes whenever the representation of the lot does.
#[must_use]
pub fn etag(lot: &Lot) -> String {
    // Terms can come into force without a change of the lot.
    let version = lot.tariff_version_id.filter(|_| lot.terms.is_some());
    let tariff = version.map(|id| format!("-{id}")).unwrap_or_default();
    format!("\"{}-{}-{}{tariff}\"", lot.id, lot.version, lot.available_slots)
}

/// Whether one of the tags in the value of `If-Match` belongs to this version of the lot.
///
/// The number of free spots is ignored: an update does not overwrite it, and a busy lot could hardly ever be changed
/// otherwise. So is what proxies that compress make of a tag: `W/` before it, or a suffix such as `-gzip`.
#[must_use]
pub fn matches(tags: &str, id: i64, version: i64) -> bool {
    let lot = format!("{id}-{version}-");
    let is_match = |tag: &str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        tag.is_some_and(|tag| tag.starts_with(&lot))
    };
    tags.trim() == "*" || tags.split(',').map(str::trim).any(is_match)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Money;

    #[test]
    fn a_tag_matches_its_version_whatever_the_free_spots() {
        let lot = Lot {
            id: 7,
            location_name: "Main Street".into(),
            price: Money::default(),
            address: "1, Main Street".into(),
            pincode: "400001".into(),
            number_of_slots: 3,
            available_slots: 2,
            version: 12,
            tariff_version_id: None,
            terms: None,
        };
        assert_eq!(etag(&lot), "\"7-12-2\"");
        assert!(matches("\"7-12-2-3\"", 7, 12), "with terms");
        for tags in [
            "*",
            " * ",
            "\"7-12-0\"",
            "\"x\", \"7-12-3\"",
            "W/\"7-12-2\"",
            "\"7-12-2-gzip\"",
            "\"7-12-2--gzip\"",
            "\"x\",W/\"7-12-2;br\"",
        ] {
            assert!(matches(tags, 7, 12), "{tags}");
        }
        for tags in [
            "",
            "7-12-2",
            "\"7-12\"",
            "\"7-1-2\"",
            "\"17-12-2\"",
            "W/\"7-11-2\"",
            "\"7-11-2-gzip\"",
            "\"7-1-12-gzip\"",
            "w/\"7-12-2\"",
            "W/*",
            "\"*\"",
            "\"",
            ",",
            "\"7-12-2",
        ] {
            assert!(!matches(tags, 7, 12), "{tags}");
        }
    }
}
