//! What the statements of several reports have in common.

use chrono::{DateTime, Utc};
use sea_orm::Value;

use crate::platform::db::at;

/// Reservations that count. Both databases find the matching indexes for parts of this condition.
pub(in crate::parking) const COUNTED: &str = "state IN ('completed', 'active', 'reserved')";

/// What was paid between two instants, less what was refunded between them. A refund does not change the revenue of the day
/// of the payment.
pub(super) fn paid_between(from: &str, to: &str) -> String {
    let sum = |states: &str, column: &str| {
        format!(
            "COALESCE(SUM(cost_minor) FILTER (
                WHERE payment_state IN ({states}) AND {column} >= {from} AND {column} < {to}), 0)"
        )
    };
    format!("{} - {}", sum("'paid', 'refunded'", "paid_at"), sum("'refunded'", "refunded_at"))
}

/// Collects the bound values of a statement. Equal values share a placeholder.
#[derive(Default)]
pub(super) struct Bound {
    pub(super) values: Vec<Value>,
}

impl Bound {
    /// Binds a value and returns its placeholder.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> String {
        let value = value.into();
        let found = self.values.iter().position(|bound| *bound == value);
        let place = found.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!("${}", place + 1)
    }

    pub(super) fn instant(&mut self, instant: DateTime<Utc>) -> String {
        self.value(at(instant))
    }
}
