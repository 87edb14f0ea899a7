//! Figures: for administrators, for each driver, and the rows behind them.
//!
//! A reservation counts in the month in which it began, unless it was cancelled or expired. Money counts when it was
//! paid, which is when the driver left; what is still reserved or running is no revenue.

pub mod admin;
pub mod calendar;
pub mod insights;
pub mod stays;
pub mod user;

use chrono::{DateTime, Utc};
use sea_orm::Value;

use crate::db::at;

/// Months of a report.
const MONTHS: u32 = 12;

/// Reservations that count. PostgreSQL and SQLite find the indexes for parts of it.
const COUNTED: &str = "state IN ('completed', 'active', 'reserved')";

/// What the application has counted in Redis, for the administrators' report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called as the report calls them")]
pub struct Counters {
    pub total_api_calls: i64,
    pub total_logins: i64,
    pub total_logouts: i64,
    pub total_registrations: i64,
    pub active_users_count: i64,
    pub users_created: i64,
    pub users_deleted: i64,
    pub parking_lots_created: i64,
    pub parking_lots_deleted: i64,
    pub reservations_cancelled: i64,
    pub today_logins: i64,
    pub today_registrations: i64,
    pub today_reservations: i64,
}

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
