//! Keeps spreadsheets from running what people wrote as formulas when they open a CSV file. Pure.

use std::borrow::Cow;

/// What begins a formula, and the full-width and small forms of the signs, which spreadsheets may convert.
const SIGNS: [char; 13] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '−'];

/// What begins a new cell or row inside a field. In many languages the list separator is `;`, and import dialogs offer
/// tabs, too. The quotes of a field do not protect it then, because it is not at the beginning of a cell that they are.
/// Where the separator is a comma they do.
const SEPARATORS: [u8; 4] = *b";\t\n\r";

/// Puts an apostrophe, which makes it text, before a field that would be a formula, and before every part of it that
/// would be a cell of its own and a formula.
pub(super) fn neutralize(field: &[u8]) -> Cow<'_, [u8]> {
    let is_separator = |byte: &u8| SEPARATORS.contains(byte);
    // Without an early exit, which lets the compiler compare many bytes at once.
    let has_separator = field.iter().fold(false, |found, byte| found | is_separator(byte));
    let begins_formula = begins_formula(field);
    if !has_separator && !begins_formula {
        return Cow::Borrowed(field);
    }
    let mut safe = Vec::with_capacity(field.len() + 2);
    if begins_formula || field.first().is_some_and(|byte| matches!(byte, b'\t' | b'\n' | b'\r')) {
        safe.push(b'\'');
    }
    for (at, byte) in field.iter().enumerate() {
        safe.push(*byte);
        if is_separator(byte) && self::begins_formula(&field[at + 1..]) {
            safe.push(b'\'');
        }
    }
    Cow::Owned(safe)
}

/// Whether the first character is a sign, apart from those that spreadsheets skip.
fn begins_formula(text: &[u8]) -> bool {
    if text.first().is_none_or(u8::is_ascii_alphanumeric) {
        return false;
    }
    let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text.chars().find(|c| !is_skipped(*c)).is_some_and(|c| SIGNS.contains(&c))
}

/// Blanks, control characters, invisible characters (`Default_Ignorable_Code_Point` of Unicode), and quotes.
fn is_skipped(c: char) -> bool {
    c == '"'
        || c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(field: &str) -> String {
        String::from_utf8(neutralize(field.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn formula_signs_at_the_start_are_neutralized() {
        for sign in SIGNS {
            assert_eq!(safe(&format!("{sign}1+1")), format!("'{sign}1+1"));
        }
        for blank in ["\t", "\r", "\n"] {
            assert_eq!(safe(&format!("{blank}x")), format!("'{blank}x"));
        }
    }

    #[test]
    fn signs_after_skipped_characters_are_neutralized() {
        for skipped in
            [" ", "\u{A0}", "\u{3000}", "\u{200B}", "\u{FEFF}", "\u{202E}", "\u{1}", "\"", " \u{AD} "]
        {
            assert_eq!(safe(&format!("{skipped}=1+1")), format!("'{skipped}=1+1"));
            assert_eq!(safe(&format!("x;{skipped}＝1")), format!("x;'{skipped}＝1"));
        }
    }

    #[test]
    fn signs_after_a_list_separator_are_neutralized() {
        for (field, expected) in [
            ("x;=1+1;", "x;'=1+1;"),
            ("x;=1;-2;@A1;+3", "x;'=1;'-2;'@A1;'+3"),
            ("x\t=1", "x\t'=1"),
            ("x\n＝1", "x\n'＝1"),
            ("x\r\n=1", "x\r'\n'=1"),
            (";＋1", ";'＋1"),
            ("\t=1", "'\t'=1"),
            ("x;\"=1\"", "x;'\"=1\""),
            ("x; ;=1", "x; ;'=1"),
        ] {
            assert_eq!(safe(field), expected, "{field:?}");
        }
    }

    #[test]
    fn harmless_text_is_not_changed() {
        for field in [
            "",
            " ",
            "MH-12-AB",
            "a=b",
            "1 + 1",
            "x; y",
            "a;b=c",
            "x,=1",
            "12, Main St. - 2nd floor",
            "東京",
            "'=1",
        ] {
            assert!(
                matches!(neutralize(field.as_bytes()), Cow::Borrowed(_)) || safe(field) == field,
                "{field:?}"
            );
        }
    }

    proptest! {
        /// As a spreadsheet with another list separator would split it.
        #[test]
        fn no_part_of_a_field_is_a_formula(field in "[;\t\r\n\" x=+@＝\u{200B}\u{3000}-]{0,12}") {
            let safe = safe(&field);
            for part in safe.split([';', '\t', '\r', '\n']) {
                prop_assert!(!begins_formula(part.as_bytes()), "{field:?} became {safe:?}");
            }
            prop_assert_eq!(safe.replace('\'', ""), field);
        }
    }
}
