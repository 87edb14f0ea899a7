//! By what a client tells that a lot is still as it was read. Pure.

use super::Lot;

/// The strong tag of a lot as it is shown: it changes whenever what is shown does.
#[must_use]
pub fn etag(lot: &Lot) -> String {
    format!("\"{}-{}-{}\"", lot.id, lot.version, lot.available_slots)
}

/// Whether one of the tags, as they stand in `If-Match`, is of this version of the lot.
///
/// How many spots were free is left out: an update overwrites nothing of it, and a lot where cars come and go could
/// hardly ever be changed otherwise.
#[must_use]
pub fn matches(tags: &str, id: i64, version: i64) -> bool {
    let lot = format!("{id}-{version}");
    let is_of_lot = |tag: &str| {
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        tag.and_then(|tag| tag.rsplit_once('-')).is_some_and(|(of, _)| of == lot)
    };
    tags.trim() == "*" || tags.split(',').map(str::trim).any(is_of_lot)
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
