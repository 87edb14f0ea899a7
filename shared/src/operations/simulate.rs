//! What a tariff would have brought in: the stays of a month, billed by it.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use tariff::Version;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
    },
    parking::{reports::calendar::Period, rules::pricing::Terms, tariffs},
    platform::db::{Transaction, at, sql},
};

/// Stays that are read at a time.
const PAGE: usize = 5_000;

/// A month of a lot under two tariffs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The stays that ended in the month.
    pub stays: u64,
    /// How many would have cost less.
    pub cheaper: u64,
    /// How many would have cost more.
    pub dearer: u64,
    /// The bills as they were made, whoever paid them.
    pub before: Money,
    /// The bills by the tariff.
    pub after: Money,
}

#[derive(FromQueryResult)]
struct Stay {
    id: i64,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    cost_minor: i64,
}

impl Comparison {
    fn add(&mut self, stay: &Stay, terms: &Terms) {
        let Some((arrived, left)) = stay.arrived_at.zip(stay.left_at) else { return };
        let after = terms.bill(arrived, left).total;
        self.stays += 1;
        self.cheaper += u64::from(after < stay.cost_minor);
        self.dearer += u64::from(after > stay.cost_minor);
        self.before = plus(self.before, stay.cost_minor);
        self.after = plus(self.after, after);
    }
}

const fn plus(sum: Money, minor: i64) -> Money {
    Money::from_minor(sum.minor().saturating_add(minor))
}

/// Bills the stays that ended in a month by a tariff, with the holidays that the lot has now. Changes nothing.
///
/// # Errors
/// [`Error::Invalid`] for a tariff with mistakes; [`Error::NotFound`] for an unknown lot.
pub async fn simulate(app: &App, lot_id: i64, tariff: Version, month: &Period) -> Result<Comparison> {
    tariffs::check(&tariff, "")?;
    let holidays = tariffs::holidays(app, lot_id).await?;
    let terms = Terms { tariff, zone: app.config.zone, holidays };
    let tx = app.db.snapshot().await?;
    let (mut comparison, mut last) = (Comparison::default(), i64::MIN);
    loop {
        let stays = page(&tx, lot_id, month, last).await?;
        let Some(end) = stays.last() else { break };
        last = end.id;
        stays.iter().for_each(|stay| comparison.add(stay, &terms));
        // Bills are calculated on this thread, and other work waits meanwhile.
        tokio::task::yield_now().await;
    }
    tx.rollback().await?;
    Ok(comparison)
}

async fn page(tx: &Transaction, lot_id: i64, month: &Period, last: i64) -> Result<Vec<Stay>, Error> {
    let text = format!(
        "SELECT id, arrived_at, left_at, cost_minor FROM reservations
         WHERE state = 'completed' AND lot_id = $1 AND left_at >= $2 AND left_at < $3 AND id > $4
         ORDER BY id LIMIT {PAGE}"
    );
    let values = [lot_id.into(), at(month.begins), at(month.ends), last.into()];
    Ok(Stay::find_by_statement(sql(tx, &text, values)).all(tx).await?)
}
