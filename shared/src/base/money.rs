//! Exact amounts of money: whole minor units inside, a JSON number of major units outside.

use serde::{Serialize, Serializer};

use super::currency::Currency;

/// An amount in minor units (paise, cents) of the installation's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// An amount of `minor` minor units.
    #[must_use]
    pub const fn from_minor(minor: i64) -> Self {
        Self(minor)
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// Reads an amount in major units, such as `25.50`.
    ///
    /// # Errors
    /// As [`Currency::read`].
    pub fn read(major: &str) -> Result<Self, String> {
        Currency::installed().read(major).map(Self)
    }

    /// The amount in hundredths of a major unit, rounded, for charts.
    #[must_use]
    pub fn hundredths(self) -> i64 {
        Currency::installed().hundredths(self.0)
    }

    /// The amount, multiplied.
    #[must_use]
    pub const fn times(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl std::fmt::Display for Money {
    /// For people, with symbol and grouping: `₹1,23,456.00`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Currency::installed().show(self.0))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Currency::installed() {
            currency if currency.decimals() == 0 => serializer.serialize_i64(self.0),
            currency => serializer.serialize_f64(currency.major(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_units_round_trip_exactly() {
        for minor in [0, 1, 10, 99, 100, 2550, 999_999_999_999] {
            let json = serde_json::to_value(Money::from_minor(minor)).unwrap();
            assert_eq!(Money::read(&json.to_string()), Ok(Money::from_minor(minor)), "{json}");
        }
    }

    #[test]
    fn invalid_amounts_are_rejected() {
        for major in ["-0.01", "NaN", "inf", "0.001", "19.999", "10000000000000", "4560061503.819431"] {
            assert!(Money::read(major).is_err(), "{major}");
        }
    }

    #[test]
    fn amounts_are_numbers_in_json_and_text_for_people() {
        assert_eq!(Money::from_minor(2550).to_string(), "₹25.50");
        assert_eq!(Money::from_minor(5).to_string(), "₹0.05");
        assert_eq!(serde_json::to_string(&Money::from_minor(2550)).unwrap(), "25.5");
    }
}
