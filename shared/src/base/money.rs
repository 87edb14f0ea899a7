//! Exact amounts of money: whole minor units inside, a JSON number of major units outside.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An amount in minor units (paise, cents) of the installation's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

/// The largest amount: ten billion major units.
const MAX_MINOR: f64 = 1e12;

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

    /// The amount in major units, for JSON: 25.5 for 2550 minor units.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts are below 2^53")]
    pub fn major(self) -> f64 {
        self.0 as f64 / 100.0
    }

    /// An amount in major units.
    ///
    /// # Errors
    /// When it is not finite, negative, too large, or finer than a minor unit.
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    pub fn from_major(major: f64) -> Result<Self, &'static str> {
        let minor = major * 100.0;
        if !major.is_finite() || !(0.0..=MAX_MINOR).contains(&minor) {
            return Err("must be a number from 0 to 10000000000");
        }
        // Compared with the nearest whole minor units, so that large amounts that are finer do not pass.
        if (minor.round() / 100.0).total_cmp(&major.abs()).is_ne() {
            return Err("must have at most two decimal places");
        }
        Ok(Self(minor.round() as i64))
    }

    /// The amount, multiplied.
    #[must_use]
    pub const fn times(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl std::fmt::Display for Money {
    /// Major units with two decimal places: `25.50`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", minor / 100, minor % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.major())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_major(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_units_round_trip_exactly() {
        for minor in [0, 1, 10, 99, 100, 2550, 999_999_999_999] {
            let money = Money::from_minor(minor);
            assert_eq!(Money::from_major(money.major()), Ok(money), "{minor}");
        }
    }

    #[test]
    fn invalid_amounts_are_rejected() {
        for major in [-0.01, f64::NAN, f64::INFINITY, 0.001, 19.999, 1e13, 4_560_061_503.819_431] {
            assert!(Money::from_major(major).is_err(), "{major}");
        }
    }

    #[test]
    fn amounts_are_shown_with_two_decimal_places() {
        assert_eq!(Money::from_minor(2550).to_string(), "25.50");
        assert_eq!(Money::from_minor(5).to_string(), "0.05");
        assert_eq!(serde_json::to_string(&Money::from_minor(2550)).unwrap(), "25.5");
    }
}
