//! Kinds of characters that matter to more than one form.

/// The first characters of the blocks of ten decimal digits that keyboards in use produce. Full-width digits and other
/// variants become ASCII by NFKC.
const ZEROS: [char; 15] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{1040}',
];

/// The ASCII digit of a decimal digit in another script, any other character as it is.
pub(crate) fn with_ascii_digit(c: char) -> char {
    let digit =
        ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero as u32).filter(|digit| *digit < 10));
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// Whether the character is not shown at all, or only affects how others are shown, such as their direction
/// (`Default_Ignorable_Code_Point`). It arrives with copied text.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text without what cannot be seen in it and without surrounding white space, and what is wrong with it.
pub(crate) fn visible(text: &str, max: usize) -> Result<String, String> {
    let text: String = text.trim().chars().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim().to_owned();
    match text.chars().count() {
        0 => Err("must not be empty".to_owned()),
        length if length > max => Err(format!("must have at most {max} characters")),
        _ if text.contains(char::is_control) => Err("must not contain control characters".to_owned()),
        _ => Ok(text),
    }
}
