//! Recalculates the bills of all completed sessions.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use crate::{
    base::{error::Result, money::Money},
    parking::rules::billing,
    platform::db::{Transaction, sql},
};

#[derive(FromQueryResult)]
struct Bill {
    id: i64,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    hourly_rate_minor: i64,
    cost_minor: i64,
}

impl Bill {
    fn is_right(&self) -> bool {
        self.arrived_at.zip(self.left_at).is_some_and(|(arrived, left)| {
            billing::bill(Money::from_minor(self.hourly_rate_minor), arrived, left).total == self.cost_minor
        })
    }
}

/// The reservations with wrong bills, at most `limit`. Reads them page by page.
pub(super) async fn find_wrong(tx: &Transaction, limit: usize) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut last = i64::MIN;
    while wrong.len() < limit {
        // Rate and bill that an upgrade rounded need not match any more.
        let text = "SELECT id, arrived_at, left_at, hourly_rate_minor, cost_minor FROM reservations r
             WHERE state = 'completed' AND id > $1 AND NOT EXISTS (
                SELECT 1 FROM rounded_amounts a WHERE a.table_name = 'reservations' AND a.row_id = r.id)
             ORDER BY id LIMIT 5000";
        let bills = Bill::find_by_statement(sql(tx, text, [last.into()])).all(tx).await?;
        let Some(end) = bills.last() else { break };
        last = end.id;
        wrong.extend(
            bills.iter().filter(|bill| !bill.is_right()).map(|bill| format!("reservation {}", bill.id)),
        );
    }
    wrong.truncate(limit);
    Ok(wrong)
}
