//! Times of day as a clock on the wall shows them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

const DAY_MINUTES: u16 = 24 * 60;

/// A time of day with a precision of minutes, from `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", examples("08:30")))]
pub struct LocalTime(u16);

impl LocalTime {
    /// `00:00`.
    pub const MIDNIGHT: Self = Self(0);
    /// `24:00`, the end of a day.
    pub const END_OF_DAY: Self = Self(DAY_MINUTES);

    /// The time `minutes` after midnight, at most 24 hours.
    #[must_use]
    pub const fn from_minutes(minutes: u16) -> Option<Self> {
        if minutes <= DAY_MINUTES { Some(Self(minutes)) } else { None }
    }

    /// The minutes after midnight.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for LocalTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (hours, minutes) = text.split_once(':')?;
            let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(hours) || !is_number(minutes) {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (minutes < 60).then_some(hours * 60 + minutes).and_then(Self::from_minutes)
        };
        read().ok_or_else(|| format!("{text:?} is not a time of day: write hours and minutes, such as 08:30"))
    }
}

impl TryFrom<String> for LocalTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LocalTime> for String {
    fn from(time: LocalTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A part of each local day. From `22:00` to `06:00` is a night; it belongs to the day on which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffWindow))]
pub struct Window {
    /// The first minute.
    pub from: LocalTime,
    /// The minute after the last.
    pub to: LocalTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_have_hours_and_minutes() {
        for (text, minutes) in [("00:00", 0), ("06:05", 365), ("23:59", 1439), ("24:00", 1440)] {
            let time: LocalTime = text.parse().unwrap();
            assert_eq!((time.minutes(), time.to_string().as_str()), (minutes, text));
        }
        for text in ["", "6:00", "06:60", "24:01", "25:00", "06:00:00", "+6:00", "06.00", "ab:cd", "६:००"]
        {
            let error = text.parse::<LocalTime>().unwrap_err();
            assert!(error.contains("such as 08:30"), "{error}");
        }
    }
}
