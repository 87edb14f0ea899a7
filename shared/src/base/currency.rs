//! The currency of an installation: its minor units, and how its amounts are read and written.

use std::{fmt, str::FromStr, sync::OnceLock};

/// A currency of ISO 4217 that has minor units, which leaves out gold and the like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

/// The largest amount that clients may send, in major units.
const MOST: i64 = 10_000_000_000;

/// Signs that are understood without the code. Other symbols are several letters, change the direction of the text, or
/// are shared by currencies that nobody writes with them.
const SIGNS: &str = "$£¥฿৳₡₦₩₪₫€₭₮₱₲₴₸₹₺₼₽₾₿";

/// One process serves one installation, which has one currency.
static INSTALLED: OnceLock<Currency> = OnceLock::new();

impl Currency {
    /// The Indian rupee, the default.
    pub const INR: Self = Self(iso_currency::Currency::INR);

    /// The currency of this process, [`Currency::INR`] until [`Currency::install`] is called.
    #[must_use]
    pub fn installed() -> Self {
        INSTALLED.get().copied().unwrap_or(Self::INR)
    }

    /// Makes this the currency of the process, before the first amount is read or written.
    ///
    /// # Errors
    /// If another one was installed before.
    pub fn install(self) -> Result<(), String> {
        let installed = *INSTALLED.get_or_init(|| self);
        if installed == self { Ok(()) } else { Err(format!("this process already uses {installed}")) }
    }

    /// Its code, such as `INR`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal places its amounts have: 2 for INR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.exponent().unwrap_or_default().into()
    }

    /// Minor units in a major unit.
    fn scale(self) -> i64 {
        10_i64.pow(self.decimals())
    }

    /// An amount in major units, for JSON. The nearest number with these digits, so it is shown with exactly these.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts are below 2^53")]
    pub fn major(self, minor: i64) -> f64 {
        minor as f64 / self.scale() as f64
    }

    /// An amount in hundredths of a major unit, rounded, for charts.
    #[must_use]
    pub fn hundredths(self, minor: i64) -> i64 {
        let scale = i128::from(self.scale());
        i64::try_from((i128::from(minor) * 100 + scale / 2).div_euclid(scale)).unwrap_or(i64::MAX)
    }

    /// An amount for programs: `1234567.50`.
    #[must_use]
    pub fn digits(self, minor: i64) -> String {
        let (sign, whole, fraction) = self.parts(minor);
        format!("{sign}{whole}{fraction}")
    }

    /// An amount for people: `₹12,34,567.50`, `$1,234,567.50`, `KWD 1,234.500`.
    #[must_use]
    pub fn show(self, minor: i64) -> String {
        let (sign, whole, fraction) = self.parts(minor);
        // In India, groups above the thousand have two digits.
        let grouped = grouped(&whole, if self == Self::INR { 2 } else { 3 });
        let symbol = self.0.symbol().symbol;
        match symbol.chars().next().filter(|sign| symbol.chars().count() == 1 && SIGNS.contains(*sign)) {
            Some(symbol) => format!("{sign}{symbol}{grouped}{fraction}"),
            None => format!("{sign}{}\u{a0}{grouped}{fraction}", self.code()),
        }
    }

    /// The sign, the digits of the whole part, and the fraction with its point.
    fn parts(self, minor: i64) -> (&'static str, String, String) {
        let (amount, scale) = (minor.unsigned_abs(), self.scale().unsigned_abs());
        let fraction = match self.decimals() as usize {
            0 => String::new(),
            width => format!(".{:0width$}", amount % scale),
        };
        (if minor < 0 { "-" } else { "" }, (amount / scale).to_string(), fraction)
    }

    /// Reads an amount in major units such as `25.50` as minor units. Trailing zeros may exceed the decimal places.
    ///
    /// # Errors
    /// When it is not a plain decimal number, too large, or finer than a minor unit.
    pub fn read(self, text: &str) -> Result<i64, String> {
        let range = || format!("must be a number from 0 to {MOST}");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(range());
        }
        let (fraction, width) = (fraction.trim_end_matches('0'), self.decimals() as usize);
        if fraction.len() > width {
            return Err(match width {
                0 => format!("must be a whole number: {self} has no decimal places"),
                _ => format!("may have at most {width} decimal places in {self}"),
            });
        }
        let minor = format!("{whole}{fraction:0<width$}").parse().ok();
        minor.filter(|minor| *minor <= MOST * self.scale()).ok_or_else(range)
    }
}

/// Digits with commas: the last three, and before them groups of `size`.
fn grouped(digits: &str, size: usize) -> String {
    let (mut rest, last) = digits.split_at(digits.len().saturating_sub(3));
    let mut groups = vec![last];
    while !rest.is_empty() {
        let (before, group) = rest.split_at(rest.len().saturating_sub(size));
        groups.push(group);
        rest = before;
    }
    groups.reverse();
    groups.join(",")
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let known = iso_currency::Currency::from_code(code).filter(|known| known.exponent().is_some());
        known.map(Self).ok_or("must be the ISO 4217 code of a currency, such as INR")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn minor_units_follow_iso_4217() {
        for (code, decimals) in [
            ("INR", 2),
            ("EUR", 2),
            ("JPY", 0),
            ("KRW", 0),
            ("CLP", 0),
            ("ISK", 0),
            ("KWD", 3),
            ("BHD", 3),
            ("TND", 3),
            ("CLF", 4),
            ("UYW", 4),
            ("XCG", 2),
            ("BGN", 2),
        ] {
            assert_eq!(currency(code).decimals(), decimals, "{code}");
        }
        for code in ["XYZ", "XXX", "XTS", "XAU", "XDR", "inr", "IN", "INR ", "RUPEE", "", "₹", "DEM"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }

    #[test]
    fn amounts_are_shown_with_symbol_and_groups() {
        for (code, minor, shown) in [
            ("INR", 0, "₹0.00"),
            ("INR", 5, "₹0.05"),
            ("INR", 99_999, "₹999.99"),
            ("INR", 12_345_600, "₹1,23,456.00"),
            ("INR", 1_234_567_890_123, "₹12,34,56,78,901.23"),
            ("INR", -2_550, "-₹25.50"),
            ("USD", 123_456_789, "$1,234,567.89"),
            ("EUR", 100_000, "€1,000.00"),
            ("JPY", 1_234_567, "¥1,234,567"),
            ("KRW", 500, "₩500"),
            ("KWD", 1_234_500, "KWD\u{a0}1,234.500"),
            ("CHF", 500, "CHF\u{a0}5.00"),
            ("SEK", 500, "SEK\u{a0}5.00"),
            ("AED", 500, "AED\u{a0}5.00"),
            ("CLF", 12_345, "CLF\u{a0}1.2345"),
            ("INR", i64::MIN, "-₹92,23,37,20,36,85,47,758.08"),
        ] {
            assert_eq!(currency(code).show(minor), shown);
        }
    }

    #[test]
    fn prices_have_at_most_the_decimals_of_the_currency() {
        for (code, text, minor) in [
            ("INR", "100.55", 10_055),
            ("INR", "100.5", 10_050),
            ("INR", "100.5000", 10_050),
            ("INR", "0", 0),
            ("INR", "10000000000", 1_000_000_000_000),
            ("JPY", "100", 100),
            ("JPY", "100.0", 100),
            ("KWD", "1.234", 1_234),
            ("KWD", "1.2", 1_200),
            ("CLF", "1.2345", 12_345),
        ] {
            assert_eq!(currency(code).read(text), Ok(minor), "{text} {code}");
        }
        for (code, text, why) in [
            ("JPY", "100.55", "must be a whole number: JPY has no decimal places"),
            ("INR", "0.001", "may have at most 2 decimal places in INR"),
            ("KWD", "1.2345", "may have at most 3 decimal places in KWD"),
            ("CLF", "0.00001", "may have at most 4 decimal places in CLF"),
            ("INR", "10000000000.01", "must be a number from 0 to 10000000000"),
            ("INR", "99999999999999999999", "must be a number from 0 to 10000000000"),
        ] {
            assert_eq!(currency(code).read(text), Err(why.into()), "{text} {code}");
        }
        for text in ["", "-1", "+1", "1e5", "NaN", "inf", "1,5", ".5", "5.", " 5", "1.2.3", "٣", "0x10"] {
            assert!(Currency::INR.read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hundredths_are_rounded() {
        for (code, minor, hundredths) in
            [("INR", 2_550, 2_550), ("JPY", 255, 25_500), ("KWD", 2_555, 256), ("CLF", 49, 0), ("CLF", 50, 1)]
        {
            assert_eq!(currency(code).hundredths(minor), hundredths, "{code}");
        }
    }

    #[test]
    fn a_process_has_one_currency() {
        Currency::INR.install().unwrap();
        Currency::INR.install().unwrap();
        assert!(currency("JPY").install().is_err());
        assert_eq!(Currency::installed(), Currency::INR);
    }

    fn any_currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(vec!["JPY", "INR", "KWD", "CLF"]).prop_map(currency)
    }

    proptest! {
        #[test]
        fn amounts_round_trip_in_every_currency(currency in any_currency(), part in 0.0..=1.0_f64) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2^53")]
            let minor = (part * (MOST * currency.scale()) as f64) as i64;
            prop_assert_eq!(currency.read(&currency.digits(minor)), Ok(minor));
            let json = serde_json::to_string(&currency.major(minor)).unwrap();
            prop_assert_eq!(currency.read(&format!("{}", currency.major(minor))), Ok(minor));
            prop_assert_eq!(json.parse::<f64>().unwrap(), currency.major(minor));
        }

        #[test]
        fn groups_only_add_commas(minor in any::<i64>(), currency in any_currency()) {
            let shown: String = currency.show(minor).chars().filter(|c| c.is_ascii_digit() || ".-".contains(*c)).collect();
            prop_assert_eq!(shown, currency.digits(minor));
        }

        #[test]
        fn finer_prices_are_rejected(currency in any_currency(), whole in 0..1_000_i64, digit in 1..10) {
            let text = format!("{whole}.{}{digit}", "0".repeat(currency.decimals() as usize));
            prop_assert!(currency.read(&text).is_err());
        }
    }
}
