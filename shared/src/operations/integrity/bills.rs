//! Recalculates the bills of all completed sessions.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    base::{error::Result, money::Money},
    parking::rules::pricing::{Pricing, Terms},
    platform::db::{Transaction, sql},
};

#[derive(FromQueryResult)]
struct Bill {
    id: i64,
    lot_id: i64,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    hourly_rate_minor: i64,
    cost_minor: i64,
    tariff_version_id: Option<i64>,
}

impl Bill {
    fn is_right(&self, versions: &Versions) -> bool {
        let hourly_rate = Money::from_minor(self.hourly_rate_minor);
        let terms = match self.tariff_version_id.map(|id| versions.get(&id)) {
            None => None,
            Some(Some(version)) if version.lot_id == self.lot_id => version.terms.clone(),
            Some(_) => return false,
        };
        let pricing = Pricing { hourly_rate, terms };
        let times = self.arrived_at.zip(self.left_at);
        times.is_some_and(|(arrived, left)| pricing.bill(arrived, left).total == self.cost_minor)
    }
}

/// A tariff version, without terms if it is an hourly rate or cannot be read.
struct Version {
    lot_id: i64,
    terms: Option<Arc<Terms>>,
}

type Versions = HashMap<i64, Version>;

/// Adds the versions that these bills name and that are not known yet. A lot has few of them, and many stays.
async fn load(tx: &Transaction, bills: &[Bill], versions: &mut Versions) -> Result<()> {
    for id in bills.iter().filter_map(|bill| bill.tariff_version_id) {
        if versions.contains_key(&id) {
            continue;
        }
        let text = "SELECT lot_id, terms FROM tariff_versions WHERE id = $1";
        let Some(row) = tx.query_one_raw(sql(tx, text, [id.into()])).await? else { continue };
        let terms: Option<String> = row.try_get("", "terms")?;
        let terms = terms.and_then(|terms| Terms::read(&terms).ok()).map(Arc::new);
        versions.insert(id, Version { lot_id: row.try_get("", "lot_id")?, terms });
    }
    Ok(())
}

/// The reservations with wrong bills, at most `limit`. Reads them page by page.
pub(super) async fn find_wrong(tx: &Transaction, limit: usize) -> Result<Vec<String>> {
    let (mut wrong, mut versions) = (Vec::new(), Versions::new());
    let mut last = i64::MIN;
    while wrong.len() < limit {
        // Rate and bill that an upgrade rounded need not match any more.
        let text = "SELECT id, lot_id, arrived_at, left_at, hourly_rate_minor, cost_minor, tariff_version_id
             FROM reservations r
             WHERE state = 'completed' AND id > $1 AND NOT EXISTS (
                SELECT 1 FROM rounded_amounts a WHERE a.table_name = 'reservations' AND a.row_id = r.id)
             ORDER BY id LIMIT 5000";
        let bills = Bill::find_by_statement(sql(tx, text, [last.into()])).all(tx).await?;
        let Some(end) = bills.last() else { break };
        last = end.id;
        load(tx, &bills, &mut versions).await?;
        let offenders = bills.iter().filter(|bill| !bill.is_right(&versions));
        wrong.extend(offenders.map(|bill| format!("reservation {}", bill.id)));
    }
    wrong.truncate(limit);
    Ok(wrong)
}
