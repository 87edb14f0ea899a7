//! Figures: for administrators, for each driver, and the rows behind them.
//!
//! A reservation counts in the month in which it began, unless it was cancelled or expired. Money counts when it was
//! paid, which is when the driver left; what is still reserved or running is no revenue.

pub mod admin;
pub mod calendar;
pub mod insights;
pub mod monthly;
pub mod stays;
pub mod user;

use chrono::{DateTime, Utc};
use sea_orm::Value;

use crate::platform::db::at;

/// Months of a report.
const MONTHS: u32 = 12;

/// Reservations that count. PostgreSQL and SQLite find the indexes for parts of it.
const COUNTED: &str = "state IN ('completed', 'active', 'reserved')";

/// Bound values of a statement in the making; an instant that is used often is bound once.
#[derive(Default)]
struct Bound {
    values: Vec<Value>,
}

impl Bound {
    /// The value's placeholder.
    fn value(&mut self, value: impl Into<Value>) -> String {
        let value = value.into();
        let found = self.values.iter().position(|bound| *bound == value);
        let place = found.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!("${}", place + 1)
    }

    fn instant(&mut self, instant: DateTime<Utc>) -> String {
        self.value(at(instant))
    }
}
