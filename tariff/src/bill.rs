//! What a bill says.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{tax::TaxAmount, version::Version};

/// What a stay costs, and why. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// In the order of the stay. Caps are lines with negative amounts.
    pub lines: Vec<BillLine>,
    /// The taxes in `total`.
    pub tax: Vec<TaxAmount>,
    /// What is to be paid.
    pub total: i64,
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLine {
    /// The rule that produced it.
    pub rule: Rule,
    /// What the rule is called.
    pub name: String,
    /// The beginning of the part of the stay that it is about.
    pub from: DateTime<Utc>,
    /// The end; a last step may go on after the departure, and ends with it here.
    pub until: DateTime<Utc>,
    /// How many steps; 1 for flat amounts and caps, and 0 if nothing is charged.
    pub quantity: i64,
    /// The price, as rounded.
    pub amount: i64,
}

/// A rule of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    /// The stay is not longer than the free minutes.
    FreeMinutes,
    /// A line of the version.
    Line {
        /// From 1.
        number: usize,
    },
    /// The cap for each day.
    DayCap {
        /// The local day.
        day: NaiveDate,
    },
    /// The cap for each 24 hours.
    #[serde(rename = "24_hours_cap")]
    BlockCap {
        /// Which 24 hours since the arrival, from 1.
        number: i64,
    },
    /// The cap for the stay.
    StayCap,
    /// The departure is within the exit grace.
    ExitGrace,
}

impl Rule {
    pub(crate) fn name(&self, version: &Version) -> String {
        let name = match self {
            Self::FreeMinutes => "Free minutes",
            Self::Line { number } => version.lines.get(number - 1).map_or("", |line| &line.name),
            Self::DayCap { .. } => "Maximum per day",
            Self::BlockCap { .. } => "Maximum per 24 hours",
            Self::StayCap => "Maximum per stay",
            Self::ExitGrace => "Exit grace",
        };
        name.to_owned()
    }
}
