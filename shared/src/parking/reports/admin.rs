//! The administrators' report. Three statements, however much there is to count.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;

use super::{
    calendar::{self, MONTHS, Period},
    slices::{ACTIVE, RESERVED, Row, Slices},
    sql::paid_between,
};
use crate::{
    app::App,
    base::{error::Result, money::Money, page::Page},
    parking::lots::{self, Lot, Moment, When},
    platform::db::{at, sql},
};

/// Days in the report.
const DAYS: u32 = 30;

/// Figures on lots, accounts and reservations.
#[derive(Debug, Clone)]
pub struct Report {
    /// By id; archived lots only if they have reservations.
    pub lots: Vec<LotFigures>,
    /// Existing accounts of administrators.
    pub admins: i64,
    /// Existing accounts of attendants.
    pub attendants: i64,
    /// Existing accounts of drivers.
    pub drivers: i64,
    /// Stays that are running.
    pub active: i64,
    /// Reservations whose driver has not arrived.
    pub reserved: i64,
    /// Stays that have ended.
    pub completed: i64,
    /// All-time revenue, less refunds.
    pub revenue: Money,
    /// The part of it that is verified; the rest is what drivers say.
    pub verified: Money,
    /// All-time refunds.
    pub refunded: Money,
    /// Unpaid bills.
    pub outstanding: Money,
    /// The last twelve months, oldest first.
    pub months: Vec<MonthFigures>,
    /// Revenue of the last thirty days, oldest first.
    pub days: Vec<(Period, Money)>,
    /// Number of payments by payment method, most frequent first.
    pub methods: Vec<(String, i64)>,
}

/// A lot in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotFigures {
    /// The lot.
    pub id: i64,
    /// Its current name.
    pub name: String,
    /// Whether it is closed for good; then it has no spots.
    pub archived: bool,
    /// Spots in service.
    pub spots: i64,
    /// Spots that are free now.
    pub available: i64,
    /// All-time reservations, without cancelled and expired ones.
    pub reservations: i64,
    /// All-time revenue.
    pub revenue: Money,
    /// Unpaid bills.
    pub outstanding: Money,
}

impl LotFigures {
    /// A closed lot, before its reservations are counted.
    fn archived(id: i64, name: String) -> Self {
        let nothing = Money::default();
        Self {
            id,
            name,
            archived: true,
            spots: 0,
            available: 0,
            reservations: 0,
            revenue: nothing,
            outstanding: nothing,
        }
    }
}

impl From<Lot> for LotFigures {
    fn from(lot: Lot) -> Self {
        let (spots, available) = (lot.number_of_slots, lot.available_slots);
        Self { archived: false, spots, available, ..Self::archived(lot.id, lot.location_name) }
    }
}

/// A month in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthFigures {
    /// The month.
    pub month: Period,
    /// Reservations that began in it.
    pub reservations: i64,
    /// Amount paid in it, less refunds.
    pub revenue: Money,
}

/// The current report.
pub async fn report(app: &App) -> Result<Report> {
    let (now, zone) = (app.clock.now(), app.config.zone);
    let (months, days) = (calendar::months(now, zone, MONTHS), calendar::days(now, zone, DAYS));
    let (all, free_now) = (Page::default(), When::Now(Moment::of(app)));
    let (open, [admins, attendants, drivers], slices) = tokio::try_join!(
        lots::list(app, &all, free_now),
        accounts(app),
        Slices::load(app.db.read(), &months, &days),
    )?;
    let mut methods: Vec<_> =
        slices.of("method").map(|row| (row.name.clone().unwrap_or_default(), row.payments)).collect();
    methods.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let month = |(i, month): (usize, &Period)| MonthFigures {
        month: *month,
        reservations: slices.began(i),
        revenue: slices.paid(month),
    };
    let sum = |amount: fn(&Row) -> i64| Money::from_minor(slices.of("slice").map(amount).sum());
    Ok(Report {
        lots: with_figures(open.items, slices.of("lot")),
        admins,
        attendants,
        drivers,
        active: slices.count("slice", ACTIVE),
        reserved: slices.count("slice", RESERVED),
        completed: slices.of("slice").filter(|row| row.key >= 0).map(|row| row.n).sum(),
        revenue: sum(|row| row.revenue),
        verified: sum(|row| row.verified),
        refunded: sum(|row| row.refunded),
        outstanding: sum(|row| row.owed),
        months: months.iter().enumerate().map(month).collect(),
        days: days.iter().map(|day| (*day, slices.paid(day))).collect(),
        methods,
    })
}

/// Open lots, and archived ones that have reservations, by id.
fn with_figures<'a>(open: Vec<Lot>, rows: impl Iterator<Item = &'a Row>) -> Vec<LotFigures> {
    let mut lots: BTreeMap<i64, LotFigures> =
        open.into_iter().map(|lot| (lot.id, LotFigures::from(lot))).collect();
    for row in rows {
        let lot = lots
            .entry(row.key)
            .or_insert_with(|| LotFigures::archived(row.key, row.name.clone().unwrap_or_default()));
        lot.reservations = row.n;
        lot.revenue = Money::from_minor(row.revenue);
        lot.outstanding = Money::from_minor(row.owed);
    }
    lots.into_values().collect()
}

/// The numbers of administrators, attendants and drivers.
async fn accounts(app: &App) -> Result<[i64; 3]> {
    let db = app.db.read();
    let text = "SELECT COUNT(*) FILTER (WHERE role = 'admin') AS admins,
            COUNT(*) FILTER (WHERE role = 'user' AND is_attendant) AS attendants,
            COUNT(*) FILTER (WHERE role = 'user' AND NOT is_attendant) AS drivers
        FROM users WHERE deleted_at IS NULL";
    Ok(match db.query_one_raw(sql(db, text, [])).await? {
        Some(row) => {
            [row.try_get("", "admins")?, row.try_get("", "attendants")?, row.try_get("", "drivers")?]
        }
        None => [0; 3],
    })
}

/// The current month so far.
pub async fn this_month(app: &App) -> Result<MonthFigures> {
    let db = app.db.read();
    let months = calendar::months(app.clock.now(), app.config.zone, 1);
    let month = months[0];
    let refunded = paid_between("$1", "$2");
    // A stay that began in this month and has ended, ended in this month or later.
    let text = format!(
        "SELECT CAST(COALESCE(SUM(began), 0) AS BIGINT) AS reservations, CAST(COALESCE(SUM(paid), 0) AS BIGINT) AS revenue
         FROM (SELECT COUNT(*) FILTER (WHERE parking_time >= $1 AND parking_time < $2) AS began, CAST(0 AS NUMERIC) AS paid
               FROM reservations WHERE state = 'completed' AND left_at >= $1
               UNION ALL
               SELECT COUNT(*) FILTER (WHERE parking_time >= $1 AND parking_time < $2), 0
               FROM reservations WHERE {LIVE}
               UNION ALL
               SELECT 0, SUM(cost_minor)
               FROM reservations WHERE payment_state = 'paid' AND paid_at >= $1 AND paid_at < $2
               UNION ALL
               SELECT 0, {refunded}
               FROM reservations WHERE payment_state = 'refunded') AS part"
    );
    let row = db.query_one_raw(sql(db, &text, [at(month.begins), at(month.ends)])).await?;
    let (reservations, revenue) = match row {
        Some(row) => (row.try_get("", "reservations")?, row.try_get("", "revenue")?),
        None => (0, 0),
    };
    Ok(MonthFigures { month, reservations, revenue: Money::from_minor(revenue) })
}

/// Reservations that have not ended, worded like the condition of the partial indexes.
const LIVE: &str = "state IN ('reserved', 'active')";

/// The number of reservations, without cancelled and expired ones.
pub async fn count(app: &App) -> Result<i64> {
    let db = app.db.read();
    let text = format!(
        "SELECT (SELECT COUNT(*) FROM reservations WHERE state = 'completed')
              + (SELECT COUNT(*) FROM reservations WHERE {LIVE}) AS n"
    );
    let row = db.query_one_raw(sql(db, &text, [])).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}
