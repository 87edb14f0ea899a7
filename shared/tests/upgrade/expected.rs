//! What the upgrade makes of the reservations.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use shared::{base::currency::Currency, platform::db::Db};
use testkit::TestApp;

use super::{read, rows::Stay, same};

/// The reservations after the upgrade.
pub(crate) struct Expected {
    pub(crate) currency: Currency,
    pub(crate) stays: Vec<Stay>,
    /// The amounts before: prices and bills that the currency cannot express.
    inexact: BTreeSet<Rounded>,
    keys: BTreeMap<i64, String>,
    /// Stays that name the transaction of an older stay, and the oldest one.
    pub(crate) lost: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, FromQueryResult)]
struct Rounded {
    column_name: String,
    row_id: i64,
    hundredths: i64,
}

/// The columns that the upgrade adds.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct Bill {
    id: i64,
    payment_state: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    transaction_key: Option<String>,
    payment_verified_at: Option<DateTime<Utc>>,
    waive_reason: Option<String>,
}

/// Hundredths in minor units, rounded half up.
pub(crate) fn in_currency(hundredths: i64, currency: Currency) -> i64 {
    match currency.code() {
        "JPY" => (hundredths + 50) / 100,
        "KWD" => hundredths * 10,
        _ => hundredths,
    }
}

/// Whether a stay that has ended is paid: it cost nothing, or its driver named how. Blanks are no name.
pub(crate) fn is_paid(stay: &Stay) -> bool {
    stay.cost_minor == 0 || named(&stay.payment_method).is_some() || named(&stay.transaction_id).is_some()
}

fn named(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

impl Expected {
    pub(crate) fn of(before: &[Stay], currency: Currency) -> Self {
        let convert = |stay: &Stay| Stay {
            hourly_rate_minor: in_currency(stay.hourly_rate_minor, currency),
            cost_minor: in_currency(stay.cost_minor, currency),
            ..stay.clone()
        };
        let (keys, lost) = transactions(before);
        Self {
            currency,
            stays: before.iter().map(convert).collect(),
            inexact: inexact(before, currency),
            keys,
            lost,
        }
    }

    pub(crate) async fn is_stored(&self, t: &TestApp) {
        let db = &t.app.db;
        same("reservations", &read(db, "SELECT * FROM reservations ORDER BY id").await, &self.stays);
        let bills: Vec<_> = self.stays.iter().map(|stay| self.bill(stay)).collect();
        same("bills", &read(db, "SELECT * FROM reservations ORDER BY id").await, &bills);
        let rounded: Vec<Rounded> =
            read(db, "SELECT * FROM rounded_amounts WHERE table_name = 'reservations'").await;
        assert_eq!(rounded.into_iter().collect::<BTreeSet<_>>(), self.inexact);
    }

    fn bill(&self, stay: &Stay) -> Bill {
        let is_paid = stay.has_ended() && is_paid(stay);
        let state = stay.has_ended().then(|| if is_paid { "paid" } else { "unpaid" }.to_owned());
        Bill {
            id: stay.id,
            payment_state: state,
            paid_at: stay.left_at.filter(|_| is_paid),
            transaction_key: self.keys.get(&stay.id).cloned(),
            payment_verified_at: None,
            waive_reason: None,
        }
    }

    /// How many amounts were rounded, with the prices of lots.
    pub(crate) async fn rounded(&self, db: &Db) -> usize {
        let lots: Vec<Rounded> = read(db, "SELECT * FROM rounded_amounts WHERE table_name = 'lots'").await;
        self.inexact.len() + lots.len()
    }
}

/// The amounts that the currency cannot express.
fn inexact(before: &[Stay], currency: Currency) -> BTreeSet<Rounded> {
    let amounts = before.iter().flat_map(|stay| {
        [("hourly_rate_minor", stay.hourly_rate_minor), ("cost_minor", stay.cost_minor)].map(
            |(column, hundredths)| Rounded { column_name: column.to_owned(), row_id: stay.id, hundredths },
        )
    });
    amounts.filter(|amount| currency.decimals() == 0 && amount.hundredths % 100 != 0).collect()
}

/// The oldest of the stays that name a transaction keeps it, for each payment method in any spelling.
fn transactions(before: &[Stay]) -> (BTreeMap<i64, String>, Vec<(i64, i64)>) {
    let (mut keys, mut lost, mut first) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for stay in before.iter().filter(|stay| stay.has_ended()) {
        let Some(transaction) = named(&stay.transaction_id) else { continue };
        let method = named(&stay.payment_method).unwrap_or_default().to_lowercase();
        let oldest = *first.entry((method, transaction)).or_insert(stay.id);
        if oldest == stay.id {
            keys.insert(stay.id, transaction.to_owned());
        } else {
            lost.push((stay.id, oldest));
        }
    }
    (keys, lost)
}
