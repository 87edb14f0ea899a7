//! Counts with a noun, for people.

use std::fmt::Display;

/// The number and the noun in singular or plural, such as `1 lot` and `2 lots`.
pub fn plural<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
