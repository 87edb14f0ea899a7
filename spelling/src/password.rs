//! Passwords: what the user typed, however the keyboard encodes it.

use unicode_normalization::UnicodeNormalization;

/// The password that is hashed: every blank is U+0020, and the rest is in NFKC (RFC 8265, section 4.2, with NFKC for
/// NFC, so that full-width letters are the letters they look like).
#[must_use]
pub fn password(text: &str) -> String {
    // The only blank that NFKC does not map.
    text.chars().map(|c| if c == '\u{1680}' { ' ' } else { c }).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyboards_agree_on_a_password() {
        for (text, expected) in [
            ("Pa\u{308}sswo\u{308}rter1", "Pässwörter1"),
            ("Pässwörter1", "Pässwörter1"),
            ("Ｐａｓｓｗｏｒｄ", "Password"),
            ("two\u{a0}words\u{3000}and\u{1680}more", "two words and more"),
            (" blanks count ", " blanks count "),
            ("Case Counts", "Case Counts"),
            ("\u{1f697}\u{200d}", "\u{1f697}\u{200d}"),
            ("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
        ] {
            assert_eq!(password(text), password(expected), "{text}");
            assert_eq!(password(&password(text)), password(text), "{text}");
        }
        assert_ne!(password("Password"), password("password"));
        assert_ne!(password("word"), password("word "));
    }
}
