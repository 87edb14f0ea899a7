//! The entity tag of a lot and its check against `If-Match`. Pure.

use super::lot::Lot;

/// A strong entity tag: it changes whenever the representation of the lot does.
#[must_use]
pub fn etag(lot: &Lot) -> String {
    format!("\"{}-{}-{}\"", lot.id, lot.version, lot.available_slots)
}

/// Whether one of the tags in the value of `If-Match` belongs to this version of the lot.
///
/// The number of free spots is ignored: an update does not overwrite it, and a busy lot could hardly ever be changed
/// otherwise.
#[must_use]
pub fn matches(tags: &str, id: i64, version: i64) -> bool {
    let lot = format!("{id}-{version}");
    let is_match = |tag: &str| {
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        tag.and_then(|tag| tag.rsplit_once('-')).is_some_and(|(of, _)| of == lot)
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
        };
        assert_eq!(etag(&lot), "\"7-12-2\"");
        assert!(matches(&etag(&lot), 7, 12));
        for tags in ["*", " * ", "\"7-12-0\"", "\"x\", \"7-12-3\"", "W/\"7-12-2\",\"7-12-2\""] {
            assert!(matches(tags, 7, 12), "{tags}");
        }
        for tags in [
            "",
            "7-12-2",
            "\"7-12\"",
            "\"7-1-2\"",
            "\"17-12-2\"",
            "W/\"7-12-2\"",
            "\"*\"",
            "\"",
            ",",
            "\"7-12-2",
        ] {
            assert!(!matches(tags, 7, 12), "{tags}");
        }
    }
}
