//! The statement behind the administrators' report: one pass over all reservations, with time cut into slices.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::{calendar::Period, sql::Bound};
use crate::{
    base::{error::Result, money::Money},
    platform::db::{Pool, sql},
};

/// Slices that stand for a state instead of a span of time.
pub(super) const ACTIVE: i64 = -1;
pub(super) const RESERVED: i64 = -2;
pub(super) const UNPAID: i64 = -3;

/// A row of the result: sums of a slice, a lot, a payment method, or the reservations since the beginning of a month.
#[derive(Debug, FromQueryResult)]
pub(super) struct Row {
    kind: String,
    pub(super) key: i64,
    pub(super) name: Option<String>,
    /// Reservations.
    pub(super) n: i64,
    /// Stays that were paid.
    pub(super) payments: i64,
    pub(super) revenue: i64,
    /// The part of the revenue that administrators have verified.
    pub(super) verified: i64,
    /// Unpaid bills.
    pub(super) owed: i64,
    /// The amount by which refunds have reduced the revenue.
    pub(super) refunded: i64,
}

/// The result of the statement.
pub(super) struct Slices {
    rows: Vec<Row>,
    boundaries: Vec<DateTime<Utc>>,
}

impl Slices {
    pub(super) async fn load(db: &Pool, months: &[Period], days: &[Period]) -> Result<Self> {
        let boundaries = boundaries(months.iter().chain(days));
        let rows = Row::find_by_statement(statement(db, months, &boundaries)).all(db).await?;
        Ok(Self { rows, boundaries })
    }

    pub(super) fn of(&self, kind: &'static str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    pub(super) fn count(&self, kind: &'static str, key: i64) -> i64 {
        self.of(kind).find(|row| row.key == key).map_or(0, |row| row.n)
    }

    /// Revenue of a day or month, less its refunds.
    pub(super) fn paid(&self, period: &Period) -> Money {
        let is_within = |row: &&Row| self.begin(row.key).is_some_and(|begin| period.contains(begin));
        Money::from_minor(self.of("slice").filter(is_within).map(|row| row.revenue).sum())
    }

    /// Reservations that began in the month with this index: those since its beginning, less those since its end.
    pub(super) fn began(&self, month: usize) -> i64 {
        i64::try_from(month).map_or(0, |month| self.count("month", month) - self.count("month", month + 1))
    }

    /// Slice 0 is before all boundaries, slice 1 begins with the first of them.
    fn begin(&self, slice: i64) -> Option<DateTime<Utc>> {
        usize::try_from(slice - 1).ok().and_then(|before| self.boundaries.get(before)).copied()
    }
}

/// Every instant at which a period begins or ends, in order.
fn boundaries<'a>(periods: impl Iterator<Item = &'a Period>) -> Vec<DateTime<Utc>> {
    let mut instants: Vec<_> = periods.flat_map(|period| [period.begins, period.ends]).collect();
    instants.sort_unstable();
    instants.dedup();
    instants
}

/// The amounts of a part of the statement, in order.
const AMOUNTS: [&str; 5] = ["payments", "revenue", "verified", "owed", "refunded"];

/// Cuts time at all boundaries of days and months into slices, each a range of the index `reservations_paid` of ended
/// stays and of the index `reservations_revenue` of payments, and sums the slices up by lot, by payment method and by
/// slice. Refunded payments, which are few, are scanned twice: for the day of the payment and for that of the refund.
fn statement(db: &impl ConnectionTrait, months: &[Period], slices: &[DateTime<Utc>]) -> Statement {
    let mut bound = Bound::default();
    let begins = boundaries(months.iter());
    let mut parts: Vec<String> = (0..=slices.len()).map(|n| ended(n, slices, &begins, &mut bound)).collect();
    parts.extend((0..=slices.len()).map(|n| paid(n, slices, begins.len(), &mut bound)));
    parts.extend([Refund::Paid, Refund::Returned].map(|of| refunded(of, slices, begins.len(), &mut bound)));
    parts.push(unpaid(begins.len()));
    // With the same column types as the other parts, or PostgreSQL does not scan them in parallel.
    for (slice, state) in [(ACTIVE, "active"), (RESERVED, "reserved")] {
        let since = since(&begins, slices.last().copied(), &mut bound);
        parts.push(format!(
            "SELECT {slice}, lot_id, CAST(NULL AS TEXT), COUNT(*), {NO_AMOUNTS}{since}
             FROM reservations WHERE state = '{state}' GROUP BY lot_id"
        ));
    }
    let amounts: String =
        AMOUNTS.iter().map(|name| format!(", CAST(SUM({name}) AS BIGINT) AS {name}")).collect();
    let sums = format!("CAST(SUM(n) AS BIGINT) AS n{amounts}");
    let months: String = (0..begins.len())
        .map(|i| {
            format!(" UNION ALL SELECT 'month', {i}, NULL, CAST(COALESCE(SUM(since_{i}), 0) AS BIGINT), 0, 0, 0, 0, 0 FROM part")
        })
        .collect();
    let text = format!(
        "WITH part AS MATERIALIZED ({})
         SELECT 'slice' AS kind, CAST(slice AS BIGINT) AS key, CAST(NULL AS TEXT) AS name, {sums} FROM part GROUP BY slice
         UNION ALL SELECT 'lot', l.id, l.location_name, {sums} FROM part JOIN lots l ON l.id = lot_id
            GROUP BY l.id, l.location_name
         UNION ALL SELECT 'method', 0, method, {sums} FROM part WHERE method IS NOT NULL GROUP BY method{months}",
        parts.join(" UNION ALL ")
    );
    sql(db, &text, bound.values)
}

/// Amounts of reservations without a payment or an unpaid bill.
const NO_AMOUNTS: &str =
    "CAST(0 AS BIGINT), CAST(0 AS NUMERIC), CAST(0 AS NUMERIC), CAST(0 AS NUMERIC), CAST(0 AS NUMERIC)";

/// The condition of slice `n` for the instants in a column.
fn within(n: usize, column: &str, slices: &[DateTime<Utc>], bound: &mut Bound) -> String {
    let from = n.checked_sub(1).map(|before| format!(" AND {column} >= {}", bound.instant(slices[before])));
    let until = slices.get(n).map(|until| format!(" AND {column} < {}", bound.instant(*until)));
    from.unwrap_or_default() + &until.unwrap_or_default()
}

/// What was paid in slice `n`, by lot and payment method.
fn paid(n: usize, slices: &[DateTime<Utc>], months: usize, bound: &mut Bound) -> String {
    let (condition, since) = (within(n, "paid_at", slices, bound), no_since(months));
    format!(
        "SELECT {n}, lot_id, payment_method, CAST(0 AS BIGINT), COUNT(*), CAST(SUM(cost_minor) AS NUMERIC),
            CAST(COALESCE(SUM(cost_minor) FILTER (WHERE payment_verified_at IS NOT NULL), 0) AS NUMERIC),
            CAST(0 AS NUMERIC), CAST(0 AS NUMERIC){since}
         FROM reservations WHERE payment_state = 'paid'{condition} GROUP BY lot_id, payment_method"
    )
}

/// What is counted of a payment that was refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refund {
    /// The payment, on its day.
    Paid,
    /// The refund, on its day.
    Returned,
}

/// The refunded payments by slice, lot and payment method.
fn refunded(of: Refund, slices: &[DateTime<Utc>], months: usize, bound: &mut Bound) -> String {
    let (column, sign, payments, refunded) = match of {
        Refund::Paid => ("paid_at", "", "COUNT(*)", "0"),
        Refund::Returned => ("refunded_at", "-", "CAST(0 AS BIGINT)", "SUM(cost_minor)"),
    };
    let cases: String = (slices.iter().enumerate())
        .map(|(n, until)| format!(" WHEN {column} < {} THEN {n}", bound.instant(*until)))
        .collect();
    let (last, since) = (slices.len(), no_since(months));
    format!(
        "SELECT CASE{cases} ELSE {last} END, lot_id, payment_method, CAST(0 AS BIGINT), {payments},
            CAST({sign}SUM(cost_minor) AS NUMERIC),
            CAST({sign}COALESCE(SUM(cost_minor) FILTER (WHERE payment_verified_at IS NOT NULL), 0) AS NUMERIC),
            CAST(0 AS NUMERIC), CAST({refunded} AS NUMERIC){since}
         FROM reservations WHERE payment_state = 'refunded' GROUP BY 1, lot_id, payment_method"
    )
}

/// The unpaid bills, by lot.
fn unpaid(months: usize) -> String {
    let since = no_since(months);
    format!(
        "SELECT {UNPAID}, lot_id, CAST(NULL AS TEXT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS NUMERIC),
            CAST(0 AS NUMERIC), CAST(SUM(cost_minor) AS NUMERIC), CAST(0 AS NUMERIC){since}
         FROM reservations WHERE payment_state = 'unpaid' GROUP BY lot_id"
    )
}

fn no_since(months: usize) -> String {
    (0..months).map(|i| format!(", CAST(0 AS BIGINT) AS since_{i}")).collect()
}

/// The stays that ended in slice `n`, by lot.
fn ended(n: usize, slices: &[DateTime<Utc>], begins: &[DateTime<Utc>], bound: &mut Bound) -> String {
    let condition = within(n, "left_at", slices, bound);
    let since = since(begins, n.checked_sub(1).map(|before| slices[before]), bound);
    format!(
        "SELECT {n} AS slice, lot_id, CAST(NULL AS TEXT) AS method, COUNT(*) AS n, CAST(0 AS BIGINT) AS payments,
            CAST(0 AS NUMERIC) AS revenue, CAST(0 AS NUMERIC) AS verified, CAST(0 AS NUMERIC) AS owed,
            CAST(0 AS NUMERIC) AS refunded{since}
         FROM reservations WHERE state = 'completed'{condition} GROUP BY lot_id"
    )
}

/// Columns that count the reservations since the beginning of each month, in a slice of stays that ended at `from` or
/// later. A stay that began after an instant also ended after it, so earlier slices need not be scanned for it.
fn since(begins: &[DateTime<Utc>], from: Option<DateTime<Utc>>, bound: &mut Bound) -> String {
    let column = |(i, begin): (usize, &DateTime<Utc>)| {
        if from.is_some_and(|from| *begin <= from) {
            format!(", COUNT(*) FILTER (WHERE parking_time >= {}) AS since_{i}", bound.instant(*begin))
        } else {
            format!(", CAST(0 AS BIGINT) AS since_{i}")
        }
    };
    begins.iter().enumerate().map(column).collect()
}
