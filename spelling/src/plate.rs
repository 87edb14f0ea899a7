//! Licence plates: `MH 12 AB 1234`, `mh12ab1234` and `MH-12-AB-1234` are one.

use unicode_normalization::UnicodeNormalization;

use crate::characters::{is_invisible, visible, with_ascii_digit};

const MAX_PLATE: usize = 20;

/// The plate as it is stored and shown: as entered, without invisible characters.
///
/// # Errors
/// What is wrong with it.
pub fn plate(text: &str) -> Result<String, String> {
    let plate = visible(text, MAX_PLATE)?;
    match plate_key(&plate) {
        Some(_) => Ok(plate),
        None => Err("must contain letters or digits".to_owned()),
    }
}

/// The form in which plates are compared: NFKC, upper case, letters and digits only. `None` without any.
#[must_use]
pub fn plate_key(text: &str) -> Option<String> {
    let upper: String = text.nfkc().flat_map(char::to_uppercase).collect();
    let is_kept = |c: &char| c.is_alphanumeric() && !is_invisible(*c);
    // Turkish keyboards make İ of i. No plate has a dotted I.
    let ascii = |c| if c == 'İ' { 'I' } else { with_ascii_digit(c) };
    Some(upper.nfkc().filter(is_kept).map(ascii).collect()).filter(|key: &String| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_plate_have_one_key() {
        for text in [
            "MH12AB1234",
            "mh12ab1234",
            "MH 12 AB 1234",
            "MH-12-AB-1234",
            "MH.12.AB.1234",
            "MH·12·AB·1234",
            "ＭＨ１２ＡＢ１２３４",
            "ｍｈ 12 ab 1234",
            "MH\u{a0}12\u{3000}AB1234",
            "\u{feff}MH12\u{200b}AB\u{ad}1234",
            "MH१२AB१२३४",
            "MH12AB\u{3164}1234",
            "MH12AB1234\u{fe0f}",
            "mh/12/ab/1234",
            "(MH12) AB 1234\t",
        ] {
            assert_eq!(plate_key(text).as_deref(), Some("MH12AB1234"), "{text}");
        }
        for text in ["34 İZM 12", "34 izm 12", "34 IZM 12", "34 ızm 12", "34 i\u{307}zm 12"] {
            assert_eq!(plate_key(text).as_deref(), Some("34IZM12"), "{text}");
        }
        assert_eq!(plate_key("m\u{fc}-x 1"), plate_key("MU\u{308} X1"), "composed and decomposed");
        assert_eq!(plate_key("京A·12345"), plate_key("京ａ12345"));
    }

    #[test]
    fn different_plates_have_different_keys() {
        assert_ne!(plate_key("MÜ-X 1"), plate_key("MU-X 1"), "the mark tells two German districts apart");
        assert_ne!(plate_key("MH12AB1234"), plate_key("MH12AB1235"));
        assert_ne!(plate_key("B 0O1"), plate_key("B 001"));
        for nothing in ["", "--- ", "· / ·", "\u{200b}", "\u{3164}", "?"] {
            assert_eq!(plate_key(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn plates_are_shown_as_entered() {
        assert_eq!(plate(" mh 12-ab 1234 "), Ok("mh 12-ab 1234".to_owned()));
        assert_eq!(plate("\u{202e}MH12\u{200b}"), Ok("MH12".to_owned()));
        for wrong in ["", " ", "--", "\u{200b}", "MH\u{0}12", "MH\n12", "MH12\u{1b}[31m", &"x".repeat(21)] {
            assert!(plate(wrong).is_err(), "{wrong:?}");
        }
    }
}
