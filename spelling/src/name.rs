//! Names of people: the Nickname profile of RFC 8266, restricted to the characters of names. Mails greet by name and anybody
//! may register with the address of somebody else, so a name must not carry a message.

use precis_profiles::{Nickname, precis_core::profile::PrecisFastInvocation};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The greatest length of a name in characters.
pub const MAX_NAME: usize = 80;

/// More digits could be a phone number.
const MAX_DIGITS: usize = 8;

/// More marks on one letter cover the lines around it.
const MAX_MARKS: usize = 4;

/// Marks between and around the words of names in any language. The two joiners, which Persian and Indian names need,
/// are allowed by RFC 8266 only beside the letters they affect.
const PUNCTUATION: &str = " .,'’‘ʼ-‐_&()\"·・׳״\u{200c}\u{200d}";

/// The name as it is stored and shown: NFKC, with single spaces.
///
/// # Errors
/// What is wrong with it.
pub fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => return Err("must not be empty".to_owned()),
        length if length > MAX_NAME => return Err(too_long()),
        _ => {}
    }
    let name = Nickname::enforce(text)
        .map_err(|_| "must not contain control characters, line breaks or invisible characters".to_owned())?;
    if name.chars().count() > MAX_NAME {
        Err(too_long())
    } else if let Some(c) = name.chars().find(|c| !is_part_of_a_name(*c)) {
        Err(format!(
            "must be a name, without {c}: letters, digits, spaces and . , ' - _ & ( ) \" are allowed"
        ))
    } else if !name.contains(char::is_alphanumeric) {
        Err("must contain a letter or a digit".to_owned())
    } else if has_domain(&name) {
        Err("must not contain a web address; put a space after a full stop".to_owned())
    } else if name.chars().filter(|c| c.is_numeric()).count() > MAX_DIGITS {
        Err(format!("must have at most {MAX_DIGITS} digits"))
    } else if has_pile_of_marks(&name) {
        Err(format!("must have at most {MAX_MARKS} marks on a letter"))
    } else {
        Ok(name.into_owned())
    }
}

/// The form in which names are compared, whether or not [`name`] would accept them today. `None` for texts outside
/// RFC 8266, such as those with control characters.
#[must_use]
pub fn name_key(text: &str) -> Option<String> {
    let name = Nickname::enforce(text.trim()).ok()?;
    // Lower case alone keeps ß and SS apart, and upper case alone ẞ and ß.
    let folded: String = name.to_lowercase().to_uppercase().to_lowercase().nfkc().filter_map(plain).collect();
    // Turkish has an i with a dot and one without, and other keyboards change the one into the other.
    Some(folded.replace("i\u{307}", "i"))
}

/// Keyboards choose between several apostrophes and hyphens, and joiners cannot be seen.
const fn plain(c: char) -> Option<char> {
    match c {
        '’' | '‘' | 'ʼ' => Some('\''),
        '‐' => Some('-'),
        '\u{200c}' | '\u{200d}' => None,
        c => Some(c),
    }
}

fn too_long() -> String {
    format!("must have at most {MAX_NAME} characters")
}

fn is_part_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || PUNCTUATION.contains(c)
}

/// Whether a mail program could make a link of a part of the text. A full stop without a space is allowed after an initial
/// ("K.Ramesh") and between initials ("J.R.R. Tolkien").
fn has_domain(text: &str) -> bool {
    text.split(|c: char| !is_part_of_a_domain(c)).any(|word| {
        let labels: Vec<&str> = word.split('.').collect();
        labels.windows(2).any(|pair| {
            let (before, after) = (pair[0], pair[1]);
            let is_initial =
                letters(before) == 1 && !before.starts_with(|c: char| c.is_lowercase() || c.is_numeric());
            let is_name = !after.starts_with(char::is_lowercase)
                && !after.chars().nth(1).is_some_and(char::is_uppercase);
            letters(before) > 0 && letters(after) > 1 && !(is_initial && is_name)
        })
    })
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| !is_combining_mark(*c)).count()
}

fn is_part_of_a_domain(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || c == '.' || c == '-'
}

fn has_pile_of_marks(text: &str) -> bool {
    let mut marks = 0;
    text.nfd().any(|c| {
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        marks > MAX_MARKS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_accepted() {
        for text in [
            "Ann Miller",
            "O'Brien",
            "O’Brien",
            "Jean-Luc",
            "José María",
            "李小龙",
            "Dr. Ann Miller Jr.",
            "driver_01",
            "x",
            "42",
            "user19951224",
            "J.R.R. Tolkien",
            "K.Ramesh",
            "கு.சங்கர்",
            "Rita \"Bunny\" O'Neill, Jr.",
            "Ann (Annie) Miller",
            "Tom & Ann",
            "मुख्य",
            "आरव शर्मा",
            "محمد علي",
            "علی\u{200c}رضا",
            "Zoë Ångström-Łukasiewicz",
            "Владимир",
            "ジョン・スミス",
            "Nguyễn Thị Ánh",
            "İrem Işık",
            "Μαρία",
            "שרה",
            "ประยุทธ์",
            "Gal·la",
            "d'Ávila",
            "ʻOkina",
        ] {
            assert_eq!(name(text).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(name("  Ann \u{a0}\u{3000} Miller\n").as_deref(), Ok("Ann Miller"));
        assert_eq!(name("Ａｎｎ Ｍｉｌｌｅｒ").as_deref(), Ok("Ann Miller"));
        assert_eq!(name("Jose\u{301}").as_deref(), Ok("José"));
        assert_eq!(name("ﬁona 𝐀𝐧𝐧").as_deref(), Ok("fiona Ann"));
    }

    #[test]
    fn messages_are_not_names() {
        for text in [
            "Your account is locked, see https://evil.example",
            "see evil.example",
            "evil.example",
            "www.evil.example",
            "WWW.EVIL.COM",
            "x.com",
            "X.COM",
            "Ann evil.co/x",
            "ann@evil.example",
            "Ann＠evil",
            "evil．example",
            "evil。example",
            "evil｡example",
            "http:evil",
            "Ann: your account is locked",
            "Ann/Miller",
            "Ann\\Miller",
            "Ann!",
            "Pay now?",
            "Ann; Miller",
            "50% off",
            "$100",
            "€100",
            "#1",
            "a=b",
            "<b>Ann</b>",
            "{{ name }}",
            "[Ann](x)",
            "Ann\nMiller",
            "Ann\r\nBcc: x",
            "Ann\u{2028}Miller",
            "Ann\u{85}Miller",
            "Ann\tMiller",
            "Ann\u{0}",
            "Ann\u{1b}[31m",
            "call 0800 123456",
            "+91 98765 43210",
            "9876543210",
            "९८७६५४३२१०",
            "🚗",
            "Ann 🎁 prize",
            "Ann ✔",
            "Ann\u{200b}",
            "\u{feff}Ann",
            "Ann\u{202e}relliM",
            "\u{2066}Ann\u{2069}",
            "A\u{ad}nn",
            "Ann\u{200d}Miller",
            "Ann\u{200c}Miller",
            "\u{3164}",
            "Ann\u{3164}",
            "\u{2800}",
            "...",
            "-",
            "' '",
            "",
            " ",
            "\u{e000}",
            "\u{10ffff}",
            "Z\u{351}\u{350}\u{36b}\u{343}\u{301}algo",
            "Ann\u{e0041}",
            "evil-site.example",
            "é.vil.com",
            "a.b.example.com",
        ] {
            assert!(name(text).is_err(), "{text:?} became {:?}", name(text));
        }
        assert!(name(&"x".repeat(80)).is_ok());
        assert!(name(&"x".repeat(81)).is_err());
        assert!(name(&"\u{fdfa}".repeat(20)).is_err(), "longer in NFKC");
    }

    #[test]
    fn spellings_of_a_name_have_one_key() {
        for same in [
            &["José", "Jose\u{301}", "JOSÉ", " josé ", "ｊｏｓé"][..],
            &["Ann Miller", "ann  miller", "ANN\u{a0}MILLER", "Ａｎｎ Miller"],
            &["O'Brien", "O’Brien", "oʼbrien", "O‘BRIEN"],
            &["Jean-Luc", "Jean\u{2010}Luc", "jean\u{2011}luc"],
            &["Straße", "STRASSE", "strasse", "STRAẞE"],
            &["İrem Işık", "İREM IŞIK", "irem ışık", "IREM IŞIK", "i\u{307}rem ıs\u{327}ık"],
            &["ΟΔΥΣΣΕΥΣ", "Οδυσσευς", "οδυσσευσ"],
            &["علی\u{200c}رضا", "علیرضا"],
        ] {
            let keys: Vec<_> = same.iter().map(|text| name_key(text)).collect();
            assert!(keys[0].is_some(), "{same:?}");
            assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
        assert_ne!(name_key("Ann Miller"), name_key("AnnMiller"));
        assert_ne!(name_key("José"), name_key("Jose"));
    }

    #[test]
    fn keys_of_keys_are_the_same() {
        for text in [
            "José",
            "Straße",
            "İrem",
            "ΟΔΥΣΣΕΥΣ",
            "O’Brien",
            "ŉ",
            "ﬃ",
            "ǰ",
            "ΐ",
            "Ǆ",
            "<script>",
            "x@example.com",
        ] {
            let key = name_key(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(name_key(&key).as_ref(), Some(&key), "{text}");
            assert_eq!(name_key(&text.to_uppercase()).as_ref(), Some(&key), "{text}");
            assert_eq!(name_key(&text.to_lowercase()).as_ref(), Some(&key), "{text}");
        }
        assert_eq!(name_key("a\r\nb"), None);
    }
}
