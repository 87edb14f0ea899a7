//! Amounts, numbers and times as people of each language write them. Pure.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;
use fluent_bundle::FluentArgs;
use shared::base::{currency::Currency, money::Money};

use super::i18n::Language;

/// An amount: `₹1,23,456.00`, in German `123.456,00 ₹`.
pub(crate) fn money(language: Language, amount: Money) -> String {
    let shown = amount.to_string();
    if language != Language::German {
        return shown;
    }
    let symbol: String = shown.chars().filter(|c| !c.is_ascii_digit() && !"-.,\u{a0}".contains(*c)).collect();
    let digits = Currency::installed().digits(amount.minor());
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("−", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let comma = if fraction.is_empty() { "" } else { "," };
    format!("{sign}{}{comma}{fraction}\u{a0}{symbol}", grouped(whole, '.'))
}

/// A count: `12,345`, in German `12.345`.
pub(crate) fn number(language: Language, number: i64) -> String {
    let separator = if language == Language::German { '.' } else { ',' };
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(&number.unsigned_abs().to_string(), separator))
}

/// Digits in groups of three.
fn grouped(digits: &str, separator: char) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// A number of hours with one decimal place.
pub(crate) fn decimal(language: Language, number: f64) -> String {
    let text = format!("{number:.1}");
    if language == Language::German { text.replace('.', ",") } else { text }
}

/// A day: `20 Nov 2026`.
pub(crate) fn day(language: Language, date: NaiveDate) -> String {
    let mut arguments = FluentArgs::new();
    arguments.set("day", date.day());
    arguments.set("month", language.text(&format!("month-short-{}", date.month()), None));
    arguments.set("year", date.year().to_string());
    language.text("date", Some(&arguments))
}

/// A month: `November 2026`.
pub(crate) fn month(language: Language, date: NaiveDate) -> String {
    let name = language.text(&format!("month-{}", date.month()), None);
    format!("{name} {}", date.year())
}

/// A month below a chart: `Nov`.
pub(crate) fn short_month(language: Language, date: NaiveDate) -> String {
    language.text(&format!("month-short-{}", date.month()), None)
}

/// An instant in the zone of the installation: `20 Nov 2026, 18:30`.
pub(crate) fn instant(language: Language, zone: Tz, instant: DateTime<Utc>) -> String {
    let local = instant.with_timezone(&zone);
    format!("{}, {:02}:{:02}", day(language, local.date_naive()), local.hour(), local.minute())
}

/// An instant of the day of `now` as `18:30`, any other one in full.
pub(crate) fn moment(language: Language, zone: Tz, instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (local, today) = (instant.with_timezone(&zone), now.with_timezone(&zone).date_naive());
    if local.date_naive() == today {
        local.format("%H:%M").to_string()
    } else {
        self::instant(language, zone, instant)
    }
}

/// An instant as `<input type="datetime-local">` has it.
pub(crate) fn for_input(zone: Tz, instant: DateTime<Utc>) -> String {
    instant.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_numbers_follow_the_language() {
        for (minor, english, german) in [
            (0, "₹0.00", "0,00\u{a0}₹"),
            (12_345_600, "₹1,23,456.00", "123.456,00\u{a0}₹"),
            (-2_550, "-₹25.50", "−25,50\u{a0}₹"),
        ] {
            let amount = Money::from_minor(minor);
            assert_eq!(money(Language::English, amount), english);
            assert_eq!(money(Language::Hindi, amount), english);
            assert_eq!(money(Language::German, amount), german);
        }
        assert_eq!(number(Language::English, 1_234_567), "1,234,567");
        assert_eq!(number(Language::German, -999), "−999");
        assert_eq!(decimal(Language::German, 1.25), "1,2");
    }

    #[test]
    fn times_are_local_and_in_the_language() {
        let evening: DateTime<Utc> = "2026-11-20T18:45:00Z".parse().unwrap();
        let zone = chrono_tz::Asia::Kolkata;
        assert_eq!(instant(Language::English, zone, evening), "21 Nov 2026, 00:15");
        assert_eq!(instant(Language::German, zone, evening), "21. Nov. 2026, 00:15");
        assert_eq!(for_input(zone, evening), "2026-11-21T00:15");
        let later = evening + chrono::TimeDelta::hours(23);
        assert_eq!(moment(Language::English, zone, evening, later), "00:15");
        assert_eq!(
            moment(Language::English, zone, evening, later + chrono::TimeDelta::hours(1)),
            "21 Nov 2026, 00:15"
        );
        assert_eq!(month(Language::German, evening.date_naive()), "November 2026");
    }
}
