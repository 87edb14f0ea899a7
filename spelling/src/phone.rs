//! Phone numbers in E.164: `+919876543210`.

use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

use crate::characters::{visible, with_ascii_digit};

/// The longest text that is read as a number.
const MAX_TEXT: usize = 40;

/// The most digits of a number in E.164.
const MAX_DIGITS: usize = 15;

const PLANS: &str = include_str!("numbering_plans.txt");

/// A country or territory with its numbering plan, by its code in ISO 3166: `IN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    region: &'static str,
    calling_code: &'static str,
    /// Dialled before a number within the country.
    trunk: Option<&'static str>,
    /// Dialled before the calling code of another country. `None` where it includes the choice of a carrier.
    international: Option<&'static str>,
    shortest: usize,
    longest: usize,
    shortest_mobile: usize,
    longest_mobile: usize,
}

impl Country {
    fn all() -> impl Iterator<Item = Self> {
        PLANS.lines().filter(|line| !line.starts_with('#')).filter_map(Self::read)
    }

    fn read(line: &'static str) -> Option<Self> {
        let mut columns = line.split(' ');
        let (region, calling_code) = (columns.next()?, columns.next()?);
        let mut prefix = || Some(columns.next()?).map(|text| Some(text).filter(|text| *text != "-"));
        let (trunk, international) = (prefix()?, prefix()?);
        let mut length = || columns.next()?.parse().ok();
        Some(Self {
            region,
            calling_code,
            trunk,
            international,
            shortest: length()?,
            longest: length()?,
            shortest_mobile: length()?,
            longest_mobile: length()?,
        })
    }

    /// Without the calling code and the prefix for calls within the country.
    fn significant<'a>(&self, digits: &'a str) -> &'a str {
        let national = self.trunk.and_then(|trunk| digits.strip_prefix(trunk));
        // No national number begins with the trunk prefix 0. It may begin with 8 or 1, and is longer with the prefix.
        let is_prefix = |rest: &&str| self.trunk == Some("0") || rest.len() >= self.shortest_mobile;
        let national = national.filter(is_prefix).unwrap_or(digits);
        let complete = national.strip_prefix(self.calling_code).filter(|rest| {
            national.len() > self.longest_mobile
                && (self.shortest_mobile..=self.longest_mobile).contains(&rest.len())
        });
        complete.unwrap_or(national)
    }
}

impl FromStr for Country {
    type Err = &'static str;

    fn from_str(region: &str) -> Result<Self, Self::Err> {
        let is_country = region.bytes().all(|byte| byte.is_ascii_uppercase());
        Self::all()
            .find(|country| is_country && country.region == region)
            .ok_or("must be a country code of two capital letters such as IN (ISO 3166)")
    }
}

/// The number in E.164. `country` is that of numbers without a country code.
///
/// Numbers of a possible length are accepted, whether they are in use or not.
///
/// # Errors
/// What is wrong with it.
pub fn phone(text: &str, country: Country) -> Result<String, String> {
    let text: String = visible(text, MAX_TEXT)?.nfkc().map(with_ascii_digit).collect();
    let text = text.strip_prefix("tel:").unwrap_or(&text);
    let (is_complete, text) = match text.strip_prefix('+').or_else(|| text.strip_prefix("(+")) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    // Written for callers from within the country.
    let text = if is_complete { text.replacen("(0)", "", 1) } else { text.to_owned() };
    if let Some(c) = text.chars().find(|c| !c.is_ascii_digit() && !is_separator(*c)) {
        return Err(format!("must be one phone number, of digits, spaces and - . ( ) /, without {c}"));
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let foreign = || {
        let prefixes = [country.international?, "00"];
        prefixes.into_iter().find_map(|prefix| digits.strip_prefix(prefix))
    };
    match if is_complete { Some(digits.as_str()) } else { foreign() } {
        Some(digits) => complete(digits),
        None => checked(country, country.significant(&digits)),
    }
}

/// A number that begins with a calling code.
fn complete(digits: &str) -> Result<String, String> {
    let plan = Country::all().find_map(|plan| Some((plan, digits.strip_prefix(plan.calling_code)?)));
    let (plan, mut national) = plan.ok_or("must begin with the calling code of a country after the +")?;
    // Nobody abroad dials the trunk prefix, but some write it.
    if let Some(rest) = national.strip_prefix('0').filter(|_| plan.trunk == Some("0")) {
        national = rest;
    }
    checked(plan, national)
}

fn checked(country: Country, national: &str) -> Result<String, String> {
    let longest = country.longest.min(MAX_DIGITS - country.calling_code.len());
    if (country.shortest..=longest).contains(&national.len()) {
        Ok(format!("+{}{national}", country.calling_code))
    } else {
        Err(format!(
            "must have {} to {longest} digits after the country code +{}",
            country.shortest, country.calling_code
        ))
    }
}

/// Between groups of digits. The dashes are those of NFKC and of word processors.
fn is_separator(c: char) -> bool {
    c == ' ' || "-‐‒–—−.·()/".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_country(code: &str, text: &str) -> Result<String, String> {
        phone(text, code.parse().unwrap_or_else(|why| panic!("{code} {why}")))
    }

    #[test]
    fn spellings_of_a_number_are_one() {
        for text in [
            "+919876543210",
            "+91 98765 43210",
            "+91-98765-43210",
            "(+91) 98765 43210",
            "+91 (0) 98765 43210",
            "+91 0 98765 43210",
            "00919876543210",
            "0091 98765 43210",
            "9876543210",
            "09876543210",
            "98765 43210",
            "(098765) 43210",
            "98765.43210",
            "98765/43210",
            "919876543210",
            "91 98765 43210",
            "0 91 98765 43210",
            "tel:+91-98765-43210",
            "＋９１９８７６５４３２１０",
            "९८७६५४३२१०",
            "٩٨٧٦٥٤٣٢١٠",
            "+91\u{a0}98765\u{2011}43210",
            "\u{202a}+91 98765 43210\u{202c}",
            "\u{feff}9876543210",
            "+91 98765 – 43210",
        ] {
            assert_eq!(in_country("IN", text).as_deref(), Ok("+919876543210"), "{text}");
        }
    }

    #[test]
    fn national_numbers_follow_the_rules_of_their_country() {
        for (country, text, expected) in [
            ("DE", "030 1234567", "+49301234567"),
            ("DE", "0171/1234567", "+491711234567"),
            ("IN", "+49 (30) 1234.567", "+49301234567"),
            ("US", "(415) 555-2671", "+14155552671"),
            ("US", "1 415 555 2671", "+14155552671"),
            ("US", "011 91 98765 43210", "+919876543210"),
            ("CA", "613-782-7274", "+16137827274"),
            ("IT", "06 6982 1234", "+390669821234"),
            ("IT", "+39 06 6982 1234", "+390669821234"),
            ("RU", "8 (912) 345-67-89", "+79123456789"),
            ("RU", "800 555 35 35", "+78005553535"),
            ("RU", "8 800 555 35 35", "+78005553535"),
            ("IN", "+7 800 555 35 35", "+78005553535"),
            ("HU", "06 20 123 4567", "+36201234567"),
            ("AU", "0011 91 98765 43210", "+919876543210"),
            ("JP", "010 91 98765 43210", "+919876543210"),
            ("JP", "090-1234-5678", "+819012345678"),
            ("SG", "8123 4567", "+6581234567"),
            ("ES", "612 34 56 78", "+34612345678"),
            ("IN", "1800 123 4567", "+9118001234567"),
            ("IN", "022 2345 6789", "+912223456789"),
            ("IN", "+870 773 111 632", "+870773111632"),
            ("IN", "+91 5000000001", "+915000000001"),
        ] {
            assert_eq!(in_country(country, text).as_deref(), Ok(expected), "{country} {text}");
        }
    }

    #[test]
    fn what_cannot_be_a_number_is_refused() {
        for text in [
            "",
            "+",
            "1",
            "123",
            "12\u{0}34",
            "98765-abcde",
            "call me",
            "9876543210 ext. 5",
            "9876543210;ext=5",
            "9876543210x5",
            "+91 98765 43210, +91 98765 43211",
            "9876543210\n9876543211",
            "+999 123456789",
            "+0123456789",
            "++919876543210",
            "9876543210+",
            "+91 123",
            "+1234567890123456",
            "98765432109876543210",
            "+",
            "-",
            "()",
            "00",
            "+91",
            "🚗",
            "*99#",
            &"9".repeat(100),
        ] {
            assert!(in_country("IN", text).is_err(), "{text:?}: {:?}", in_country("IN", text));
        }
    }

    #[test]
    fn every_numbering_plan_is_read() {
        assert_eq!(Country::all().count(), PLANS.lines().filter(|line| !line.starts_with('#')).count());
        for country in Country::all().filter(|country| country.region != "001") {
            assert_eq!(country.region.parse(), Ok(country));
            let national = "2".repeat(country.shortest_mobile.min(15 - country.calling_code.len()));
            let number = format!("+{}{national}", country.calling_code);
            assert_eq!(phone(&number, country).as_ref(), Ok(&number), "{}", country.region);
            assert_eq!(phone(&national, country).as_ref(), Ok(&number), "{}", country.region);
        }
        for unknown in ["", "in", "XX", "001", "IND", "I"] {
            assert!(unknown.parse::<Country>().is_err(), "{unknown}");
        }
    }
}
