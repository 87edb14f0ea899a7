//! Finding lots by what people know about them. Pure.

use super::Lot;

/// The order of lots that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Most free spots first.
    Free,
    /// Cheapest first, full ones last.
    Price,
    /// By name.
    Name,
}

/// The lots whose name, address or postal code has every word of `text`, ignoring case.
#[must_use]
pub fn search(mut lots: Vec<Lot>, text: &str, sort: Sort) -> Vec<Lot> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    lots.retain(|lot| {
        let known = format!("{} {} {}", lot.location_name, lot.address, lot.pincode).to_lowercase();
        words.iter().all(|word| known.contains(word))
    });
    match sort {
        Sort::Free => lots.sort_by_key(|lot| (std::cmp::Reverse(lot.available_slots), lot.id)),
        Sort::Price => lots.sort_by_key(|lot| (lot.available_slots == 0, lot.price, lot.id)),
        Sort::Name => lots.sort_by_cached_key(|lot| (lot.location_name.to_lowercase(), lot.id)),
    }
    lots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Money;

    fn lot(id: i64, name: &str, pincode: &str, price: i64, free: i64) -> Lot {
        Lot {
            id,
            location_name: name.into(),
            price: Money::from_minor(price),
            address: "1, Main Street".into(),
            pincode: pincode.into(),
            number_of_slots: 10,
            available_slots: free,
            version: 1,
            tariff_version_id: None,
            terms: None,
        }
    }

    #[test]
    fn every_word_is_found_in_name_address_or_pincode() {
        let lots = vec![
            lot(1, "Harbour", "400001", 10, 1),
            lot(2, "central", "400002", 5, 0),
            lot(3, "Über", "1", 9, 7),
        ];
        let found = |text: &str, sort| -> Vec<i64> {
            search(lots.clone(), text, sort).iter().map(|lot| lot.id).collect()
        };
        assert_eq!(found("", Sort::Free), [3, 1, 2]);
        assert_eq!(found("", Sort::Price), [3, 1, 2], "a full lot is no bargain");
        assert_eq!(found("  ", Sort::Name), [2, 1, 3]);
        assert_eq!(found("MAIN 40000", Sort::Name), [2, 1]);
        assert_eq!(found("über", Sort::Name), [3]);
        assert_eq!(found("harbour 400002", Sort::Name), [0; 0]);
    }
}
