//! What a tariff says, in the form in which it is stored and sent.

use chrono::Weekday;
use serde::{Deserialize, Serialize};

use crate::{local_time::Window, tax::Tax};

/// A version of a tariff. It never changes once a stay has been priced by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Tariff))]
pub struct Version {
    /// The code of the currency in ISO 4217. All amounts are in its minor unit.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
    /// A stay that is not longer costs nothing; a longer one is charged from its first minute.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 1440))]
    pub free_minutes: u32,
    /// What would begin in these last minutes of a stay is not charged.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 1440))]
    pub exit_grace_minutes: u32,
    /// The prices. The first line that applies at an instant is in force.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 50))]
    pub lines: Vec<Line>,
    /// Maximum amounts.
    #[serde(default)]
    pub caps: Caps,
    /// Taxes on the total.
    #[serde(default)]
    pub tax: Tax,
}

/// A price, and when it applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffLine))]
pub struct Line {
    /// What bills call it.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: String,
    /// The days on which it applies, unless they are holidays.
    #[serde(default = "every_day")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!(["Sat", "Sun"])))]
    pub weekdays: Vec<Weekday>,
    /// Whether it applies on public holidays, whatever day of the week they are.
    #[serde(default = "yes")]
    pub holidays: bool,
    /// The part of the day in which it applies; all of it without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The part of a stay in which it applies; all of it without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<Elapsed>,
    /// The price in minor units.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100_000_000_000_000_i64))]
    pub amount: i64,
    /// What the price is for.
    pub charge: Charge,
}

/// Minutes since the arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffElapsed))]
pub struct Elapsed {
    /// The first minute.
    #[serde(default)]
    pub from: u32,
    /// The minute after the last; without one, until the departure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// What the amount of a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffCharge))]
pub enum Charge {
    /// For time, in whole steps: a step that has begun is charged.
    Step {
        /// The length of a step.
        minutes: u32,
        /// How many minutes the amount buys, if that is not one step: a price for each hour may be charged by the
        /// minute. A divisor of 1440, so that bills can be calculated without rounding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        per_minutes: Option<u32>,
    },
    /// Once whenever the line comes into force, however long it stays in force.
    Flat,
    /// Instead of everything else, when an attendant says that the ticket was lost.
    LostTicket,
}

/// Maximum amounts, before taxes that are added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffCaps))]
pub struct Caps {
    /// For each day of the local calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<i64>,
    /// For each 24 hours since the arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_24_hours: Option<i64>,
    /// For the stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_stay: Option<i64>,
}

impl Version {
    /// The tariff of a lot that has none: every started hour at `rate`, at least one.
    #[must_use]
    pub fn hourly(currency: &str, rate: i64) -> Self {
        Self {
            currency: currency.to_owned(),
            free_minutes: 0,
            exit_grace_minutes: 0,
            lines: vec![Line::always("Hourly rate", rate, Charge::every(60))],
            caps: Caps::default(),
            tax: Tax::default(),
        }
    }
}

impl Line {
    /// A line that applies always.
    #[must_use]
    pub fn always(name: &str, amount: i64, charge: Charge) -> Self {
        let (weekdays, holidays) = (every_day(), true);
        Self { name: name.to_owned(), weekdays, holidays, window: None, elapsed: None, amount, charge }
    }
}

impl Charge {
    /// An amount for each step.
    #[must_use]
    pub const fn every(minutes: u32) -> Self {
        Self::Step { minutes, per_minutes: None }
    }
}

/// In the order of the week.
pub(crate) const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

fn every_day() -> Vec<Weekday> {
    WEEK.to_vec()
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_json_with_few_words() {
        let json = r#"{
            "currency": "EUR",
            "free_minutes": 15,
            "lines": [
                {
                    "name": "Night",
                    "weekdays": ["Fri", "Sat"],
                    "holidays": false,
                    "window": {"from": "22:00", "to": "06:00"},
                    "amount": 500,
                    "charge": {"kind": "flat"}
                },
                {"name": "Long stay", "elapsed": {"from": 120}, "amount": 300, "charge": {"kind": "step", "minutes": 60}},
                {"name": "Day", "amount": 400, "charge": {"kind": "step", "minutes": 1, "per_minutes": 60}}
            ],
            "caps": {"per_day": 3000},
            "tax": {"included": true, "rates": [{"name": "VAT", "per_hundred_thousand": 19000}]}
        }"#;
        let version: Version = serde_json::from_str(json).unwrap();
        assert_eq!(version.validate(), Ok(()));
        assert_eq!(version.lines[0].weekdays, [Weekday::Fri, Weekday::Sat]);
        assert_eq!((version.lines[1].weekdays.len(), version.lines[1].holidays), (7, true));
        assert_eq!(version.lines[1].elapsed, Some(Elapsed { from: 120, to: None }));
        assert_eq!(version.lines[2].charge, Charge::Step { minutes: 1, per_minutes: Some(60) });
        let text = serde_json::to_string(&version).unwrap();
        assert_eq!(serde_json::from_str::<Version>(&text).unwrap(), version);
    }

    #[test]
    fn misspelt_members_are_errors() {
        let json = r#"{"currency": "EUR", "lines": [
            {"name": "Night", "windw": {"from": "22:00", "to": "06:00"}, "amount": 1, "charge": {"kind": "flat"}}]}"#;
        let error = serde_json::from_str::<Version>(json).unwrap_err().to_string();
        assert!(error.contains("windw"), "{error}");
    }
}
