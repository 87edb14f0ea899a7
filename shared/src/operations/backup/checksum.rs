//! A checksum of a table's rows that does not depend on their order: their number and the sum of their hashes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};

/// The checksum of each table, by name.
pub type Tables = BTreeMap<String, Rows>;

/// The checksum of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The number of rows.
    pub rows: u64,
    /// The sum of the rows' hashes.
    pub sum: Sum,
}

impl Rows {
    /// Adds a row in the database's own text form.
    pub fn add(&mut self, row: &[u8]) {
        let hash = Sha256::digest(row);
        let half = hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte));
        self.sum.0 = self.sum.0.wrapping_add(half);
        self.rows += 1;
    }
}

/// A sum of hashes modulo 2^128, serialized in hexadecimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u128);

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(D::Error::custom)
    }
}

/// The names of tables that differ or are missing on one side.
pub(super) fn differences(expected: &Tables, found: &Tables) -> Vec<String> {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    names.filter(|name| expected.get(*name) != found.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> Rows {
        rows.iter().fold(Rows::default(), |mut sum, row| {
            sum.add(row.as_bytes());
            sum
        })
    }

    #[test]
    fn only_the_same_rows_in_any_order_have_the_same_sum() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        for other in [&["a", "b"][..], &["a", "b", "d"], &["a", "b", "c", "c"], &["ab", "c"], &[]] {
            assert_ne!(of(&["a", "b", "c"]), of(other), "{other:?}");
        }
        let text = serde_json::to_string(&of(&["a"])).unwrap();
        assert_eq!(text, r#"{"rows":1,"sum":"ca978112ca1bbdcafac231b39a23dc4d"}"#);
        assert_eq!(serde_json::from_str::<Rows>(&text).unwrap(), of(&["a"]));
    }

    #[test]
    fn differences_names_changed_and_missing_tables() {
        let tables = |rows: &[(&str, &[&str])]| rows.iter().map(|(n, r)| ((*n).to_owned(), of(r))).collect();
        let expected: Tables = tables(&[("a", &["1"]), ("b", &["2"]), ("c", &[])]);
        assert!(differences(&expected, &expected).is_empty());
        assert_eq!(
            differences(&expected, &tables(&[("a", &["1"]), ("b", &["3"]), ("d", &[])])),
            ["b", "c", "d"]
        );
    }
}
