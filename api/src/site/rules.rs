//! What is wrong with a field, in the language of the visitor. Rules say it in English, with numbers in it, so their messages are
//! recognised by their wording; a test compares it with the sources. Pure.

use fluent_bundle::FluentArgs;

use super::i18n::Language;

/// Messages, and their keys in the catalogue. What stands in a gap becomes an argument of that name.
const RULES: &[(&str, &str)] = &[
    ("must not be empty", "rule-empty"),
    ("must be ticked", "rule-ticked"),
    ("must be a whole number", "rule-whole"),
    ("must be a whole number from {least} to {most}", "rule-between"),
    ("must be a number from 0 to {most}", "rule-amount"),
    ("must be a whole number: {currency} has no decimal places", "rule-whole"),
    ("may have at most {most} decimal places in {currency}", "rule-decimals"),
    ("must have {least} to {most} characters", "rule-length"),
    ("must have {least} to {most} characters, none of them NUL", "rule-length"),
    ("must have at most {most} characters", "rule-most"),
    ("must have at most {most} characters, none of them NUL", "rule-most"),
    ("must not contain control characters", "rule-control"),
    ("must not contain control characters, line breaks or invisible characters", "rule-control"),
    ("must contain letters or digits", "rule-letters"),
    ("must contain a letter or a digit", "rule-letters"),
    (
        "must be a name, without {sign}: letters, digits, spaces and . , ' - _ & ( ) \" are allowed",
        "rule-name",
    ),
    ("must not contain a web address; put a space after a full stop", "rule-name-web"),
    ("must have at most {most} digits", "rule-name-digits"),
    ("must have at most {most} marks on a letter", "rule-name-marks"),
    ("must be a mail address such as ann@example.com", "rule-mail"),
    ("must be a mail address of at most {most} bytes", "rule-mail-length"),
    (
        "must have only ASCII characters before the @, because many mail servers deliver to no others",
        "rule-mail-ascii",
    ),
    ("must have a valid domain after the @", "rule-mail-domain"),
    ("must be one phone number, of digits, spaces and - . ( ) /, without {sign}", "rule-phone"),
    ("must begin with the calling code of a country after the +", "rule-phone-country"),
    ("must have {least} to {most} digits after the country code +{country}", "rule-phone-digits"),
    ("is too easy to guess{why}; use several uncommon words, or a password manager", "rule-guess"),
    ("must be an ISO 8601 time such as 2026-11-20T18:30:00Z", "rule-time"),
    ("must be a year from 1970 to 9998", "rule-year"),
    ("{time} happens twice in {zone}; add an offset", "rule-clocks"),
    ("{time} does not exist in {zone}; add an offset", "rule-clocks"),
    ("must not be in the past", "rule-past"),
    ("must be within the next {most} days", "rule-ahead"),
    ("must be after {start}", "rule-after"),
    ("must be at most {most} after {start}", "rule-window"),
    ("must say how the stay was paid, unless payment_method does", "rule-paid"),
    ("must say why, in at most {most} characters, none of them NUL", "rule-reason"),
    ("must be parked here", "rule-parked"),
];

/// The text for a message, if its rule is known.
pub(super) fn text(language: Language, message: &str) -> Option<String> {
    let (key, gaps) = RULES.iter().find_map(|(rule, key)| Some((key, gaps(rule, message)?)))?;
    let mut arguments = FluentArgs::new();
    for (name, value) in gaps {
        // `48 hours` is 48 in every language.
        match value.split(' ').next().unwrap_or(value).parse::<i64>() {
            Ok(number) => arguments.set(name, number),
            Err(_) => arguments.set(name, value.to_owned()),
        }
    }
    Some(language.text(key, Some(&arguments)))
}

/// What stands in the gaps of a rule, if the message is worded like it.
fn gaps<'a>(rule: &'static str, message: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let (mut rule, mut message, mut found) = (rule, message, Vec::new());
    while let Some((before, rest)) = rule.split_once('{') {
        let (name, after) = rest.split_once('}')?;
        message = message.strip_prefix(before)?;
        let end = match after.split('{').next() {
            None | Some("") => message.len(),
            Some(next) => message.find(next)?,
        };
        found.push((name, &message[..end]));
        (message, rule) = (&message[end..], after);
    }
    (rule == message).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that checks a field which a page shows.
    const SOURCES: [&str; 16] = [
        include_str!("../../../spelling/src/characters.rs"),
        include_str!("../../../spelling/src/mail.rs"),
        include_str!("../../../spelling/src/name.rs"),
        include_str!("../../../spelling/src/phone.rs"),
        include_str!("../../../spelling/src/plate.rs"),
        include_str!("../../../shared/src/base/currency.rs"),
        include_str!("../../../shared/src/base/time.rs"),
        include_str!("../../../shared/src/parking/accounts/account.rs"),
        include_str!("../../../shared/src/parking/accounts/strength.rs"),
        include_str!("../../../shared/src/parking/bookings/car.rs"),
        include_str!("../../../shared/src/parking/bookings/payment.rs"),
        include_str!("../../../shared/src/parking/bookings/reschedule.rs"),
        include_str!("../../../shared/src/parking/lots/lot.rs"),
        include_str!("../../../shared/src/parking/rules/window.rs"),
        include_str!("../pages/form.rs"),
        include_str!("../pages/admin/lots.rs"),
    ];

    /// Of settings and of fields that no page has.
    const ELSEWHERE: [&str; 3] = [
        "must be a country code of two capital letters such as IN (ISO 3166)",
        "must be the ISO 4217 code of a currency, such as INR",
        "must be user, attendant or admin",
    ];

    /// The texts in quotes before the tests of a file, with 7 in place of their arguments.
    fn quoted(source: &str) -> Vec<String> {
        let source =
            source.split("#[cfg(test)]").next().unwrap().replace("'\"'", "").replace("\\\"", "\u{1}");
        let texts = source.split('"').skip(1).step_by(2);
        let filled = |text: &str| {
            let mut pieces = text.split('{');
            let first = pieces.next().unwrap().to_owned();
            pieces.fold(first, |text, piece| text + "7" + piece.split_once('}').map_or("", |(_, rest)| rest))
        };
        texts.map(|text| filled(text).replace('\u{1}', "\"")).collect()
    }

    fn is_rule(text: &str) -> bool {
        ["must ", "may ", "is too "].iter().any(|start| text.starts_with(start))
            || text.ends_with("add an offset")
    }

    #[test]
    fn each_message_of_a_field_has_a_text_in_each_language() {
        let messages: Vec<String> = SOURCES.iter().flat_map(|source| quoted(source)).collect();
        let rules = messages.iter().filter(|text| is_rule(text) && !ELSEWHERE.contains(&text.as_str()));
        assert!(rules.clone().count() > 35, "{messages:?}");
        for message in rules {
            for language in Language::ALL {
                let text = text(language, message).unwrap_or_else(|| panic!("no text for {message:?}"));
                assert!(!text.starts_with("rule-") && !text.contains('{'), "{language}: {message}: {text}");
            }
        }
    }

    #[test]
    fn numbers_in_messages_are_in_the_text() {
        let german = |message: &str| text(Language::German, message).unwrap();
        assert_eq!(german("must have 8 to 256 characters"), "Verwenden Sie 8 bis 256 Zeichen.");
        assert!(german("must be at most 48 hours after from").contains("48 Stunden"));
        assert!(
            german("is too easy to guess: this is a name; use several uncommon words, or a password manager")
                .starts_with("Dieses Passwort")
        );
        assert_eq!(text(Language::English, "must have 8 to 256 characters, or so"), None);
        assert_eq!(text(Language::English, ""), None);
    }
}
