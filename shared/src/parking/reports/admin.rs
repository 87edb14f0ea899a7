//! The administrators' report. Three statements, however much there is to count.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::{
    Bound, MONTHS,
    calendar::{self, Period},
};
use crate::{
    app::App,
    base::{error::Result, money::Money, page::Page},
    parking::lots::{self, Lot},
    platform::db::{at, sql},
};

/// Days of the report.
const DAYS: u32 = 30;

/// Everything about lots, people and reservations.
#[derive(Debug, Clone)]
pub struct Report {
    /// By id; archived ones as far as there were reservations.
    pub lots: Vec<LotFigures>,
    /// Administrators with an account.
    pub admins: i64,
    /// Drivers with an account.
    pub drivers: i64,
    /// Sessions that run.
    pub active: i64,
    /// Windows that are to come.
    pub reserved: i64,
    /// Sessions that have ended.
    pub completed: i64,
    /// Ever.
    pub revenue: Money,
    /// The last twelve, the oldest first.
    pub months: Vec<MonthFigures>,
    /// What was paid on the last thirty days, the oldest first.
    pub days: Vec<(Period, Money)>,
    /// How often sessions were paid how, the most frequent first.
    pub methods: Vec<(String, i64)>,
}

/// A lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotFigures {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it is closed for good; then it has no spots.
    pub archived: bool,
    /// Spots in service.
    pub spots: i64,
    /// Of these, nobody's.
    pub available: i64,
    /// Ever, unless cancelled or expired.
    pub reservations: i64,
    /// Ever.
    pub revenue: Money,
}

/// A month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthFigures {
    /// Which.
    pub month: Period,
    /// Those that began in it.
    pub reservations: i64,
    /// What was paid in it.
    pub revenue: Money,
}

/// A row of the statement about reservations: of a lot, a slice of time, a payment method, or a month's begin.
#[derive(Debug, FromQueryResult)]
struct Figure {
    kind: String,
    key: i64,
    name: Option<String>,
    n: i64,
    revenue: i64,
}

/// The slices that are none of the time.
const ACTIVE: i64 = -1;
const RESERVED: i64 = -2;

/// The report as of now.
///
/// # Errors
/// Those of the database.
pub async fn report(app: &App) -> Result<Report> {
    let (now, zone, db) = (app.clock.now(), app.config.zone, app.db.read());
    let months = calendar::months(now, zone, MONTHS);
    let days = calendar::days(now, zone, DAYS);
    let slices = boundaries(months.iter().chain(&days));
    let whole = Page::default();
    let (open, (admins, drivers), figures) =
        tokio::try_join!(lots::list(app, &whole), accounts(app), async {
            Ok(Figure::find_by_statement(reservations(db, &months, &slices)).all(db).await?)
        },)?;
    let of = |kind: &'static str| figures.iter().filter(move |figure| figure.kind == kind);
    let one = |kind, key| of(kind).find(|figure| figure.key == key).map_or(0, |figure| figure.n);
    let paid = |period: &Period| {
        let within =
            |figure: &&Figure| begin(&slices, figure.key).is_some_and(|begin| period.contains(begin));
        Money::from_minor(of("slice").filter(within).map(|figure| figure.revenue).sum())
    };
    let began =
        |month: usize| i64::try_from(month).map_or(0, |month| one("month", month) - one("month", month + 1));
    let mut methods: Vec<_> = of("method").map(|row| (row.name.clone().unwrap_or_default(), row.n)).collect();
    methods.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(Report {
        lots: with_figures(open.items, of("lot")),
        admins,
        drivers,
        active: one("slice", ACTIVE),
        reserved: one("slice", RESERVED),
        completed: of("slice").filter(|slice| slice.key >= 0).map(|slice| slice.n).sum(),
        revenue: Money::from_minor(of("slice").map(|slice| slice.revenue).sum()),
        months: (months.iter().enumerate())
            .map(|(i, month)| MonthFigures { month: *month, reservations: began(i), revenue: paid(month) })
            .collect(),
        days: days.iter().map(|day| (*day, paid(day))).collect(),
        methods,
    })
}

/// Every instant at which a period begins or ends, in order.
fn boundaries<'a>(periods: impl Iterator<Item = &'a Period>) -> Vec<DateTime<Utc>> {
    let mut instants: Vec<_> = periods.flat_map(|period| [period.begins, period.ends]).collect();
    instants.sort_unstable();
    instants.dedup();
    instants
}

/// Slice 0 is before all boundaries, slice 1 begins with the first of them.
fn begin(slices: &[DateTime<Utc>], slice: i64) -> Option<DateTime<Utc>> {
    usize::try_from(slice - 1).ok().and_then(|before| slices.get(before)).copied()
}

/// Everything about reservations in one pass: time is cut into slices at all boundaries of days and months, each a range
/// of the index `reservations_paid`, and what the slices give is added up by lot, by method and by slice.
///
/// A month's reservations are those that began since it did, less those that began since the next one did. Who began
/// since an instant has also left since, so only later slices need to look.
fn reservations(db: &impl ConnectionTrait, months: &[Period], slices: &[DateTime<Utc>]) -> Statement {
    let mut bound = Bound::default();
    let begins = boundaries(months.iter());
    let mut parts = Vec::new();
    for slice in 0..=slices.len() {
        let from = slice.checked_sub(1).map(|before| slices[before]);
        let mut condition = "state = 'completed'".to_owned();
        if let Some(from) = from {
            condition += &format!(" AND left_at >= {}", bound.instant(from));
        }
        if let Some(until) = slices.get(slice) {
            condition += &format!(" AND left_at < {}", bound.instant(*until));
        }
        let since = since(&begins, from, &mut bound);
        parts.push(format!(
            "SELECT {slice} AS slice, lot_id, payment_method AS method, COUNT(*) AS n, SUM(cost_minor) AS revenue{since}
             FROM reservations WHERE {condition} GROUP BY lot_id, payment_method"
        ));
    }
    // Of the same types as the others, or PostgreSQL does not let its workers share the slices.
    for (slice, state) in [(ACTIVE, "active"), (RESERVED, "reserved")] {
        let since = since(&begins, slices.last().copied(), &mut bound);
        parts.push(format!(
            "SELECT {slice}, lot_id, CAST(NULL AS TEXT), COUNT(*), CAST(0 AS NUMERIC){since}
             FROM reservations WHERE state = '{state}' GROUP BY lot_id"
        ));
    }
    let sums = "CAST(SUM(n) AS BIGINT) AS n, CAST(SUM(revenue) AS BIGINT) AS revenue";
    let months: String = (0..begins.len())
        .map(|i| {
            format!(" UNION ALL SELECT 'month', {i}, NULL, CAST(COALESCE(SUM(since_{i}), 0) AS BIGINT), 0 FROM part")
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

/// Columns that count who began since each month did, in a slice of those who left since `from`.
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

/// Open lots, and closed ones that have a history, by id.
fn with_figures<'a>(open: Vec<Lot>, figures: impl Iterator<Item = &'a Figure>) -> Vec<LotFigures> {
    let mut lots: std::collections::BTreeMap<i64, LotFigures> = open
        .into_iter()
        .map(|lot| {
            let figures = LotFigures {
                id: lot.id,
                name: lot.location_name,
                archived: false,
                spots: lot.number_of_slots,
                available: lot.available_slots,
                reservations: 0,
                revenue: Money::default(),
            };
            (lot.id, figures)
        })
        .collect();
    for figure in figures {
        let lot = lots.entry(figure.key).or_insert_with(|| LotFigures {
            id: figure.key,
            name: figure.name.clone().unwrap_or_default(),
            archived: true,
            spots: 0,
            available: 0,
            reservations: 0,
            revenue: Money::default(),
        });
        lot.reservations = figure.n;
        lot.revenue = Money::from_minor(figure.revenue);
    }
    lots.into_values().collect()
}

/// Administrators and drivers.
async fn accounts(app: &App) -> Result<(i64, i64)> {
    let db = app.db.read();
    let text = "SELECT COUNT(*) FILTER (WHERE role = 'admin') AS admins, COUNT(*) FILTER (WHERE role = 'user') AS drivers
                FROM users WHERE deleted_at IS NULL";
    Ok(match db.query_one_raw(sql(db, text, [])).await? {
        Some(row) => (row.try_get("", "admins")?, row.try_get("", "drivers")?),
        None => (0, 0),
    })
}

/// The month of now so far.
///
/// # Errors
/// Those of the database.
pub async fn this_month(app: &App) -> Result<MonthFigures> {
    let db = app.db.read();
    let months = calendar::months(app.clock.now(), app.config.zone, 1);
    let month = months[0];
    // Whoever began in the month and has left did so in the month or later.
    let text = format!(
        "SELECT CAST(COALESCE(SUM(began), 0) AS BIGINT) AS reservations, CAST(COALESCE(SUM(paid), 0) AS BIGINT) AS revenue
         FROM (SELECT COUNT(*) FILTER (WHERE parking_time >= $1 AND parking_time < $2) AS began,
                      SUM(cost_minor) FILTER (WHERE left_at < $2) AS paid
               FROM reservations WHERE state = 'completed' AND left_at >= $1
               UNION ALL
               SELECT COUNT(*) FILTER (WHERE parking_time >= $1 AND parking_time < $2), 0
               FROM reservations WHERE {LIVE}) AS part"
    );
    let row = db.query_one_raw(sql(db, &text, [at(month.begins), at(month.ends)])).await?;
    let (reservations, revenue) = match row {
        Some(row) => (row.try_get("", "reservations")?, row.try_get("", "revenue")?),
        None => (0, 0),
    };
    Ok(MonthFigures { month, reservations, revenue: Money::from_minor(revenue) })
}

/// Those that have not ended, as the partial indexes have it.
const LIVE: &str = "state IN ('reserved', 'active')";

/// How many reservations count.
///
/// # Errors
/// Those of the database.
pub async fn count(app: &App) -> Result<i64> {
    let db = app.db.read();
    let text = format!(
        "SELECT (SELECT COUNT(*) FROM reservations WHERE state = 'completed')
              + (SELECT COUNT(*) FROM reservations WHERE {LIVE}) AS n"
    );
    let row = db.query_one_raw(sql(db, &text, [])).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}
