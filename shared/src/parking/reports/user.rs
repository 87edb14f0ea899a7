//! A driver's report. Five statements, however long the history.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    calendar::{self, MONTHS, Offsets, Period},
    sql::{Bound, COUNTED, paid_between},
};
use crate::{
    app::App,
    base::{error::Result, money::Money},
    platform::db::{Pool, at, micros, sql},
};

const HOUR: i64 = 3_600_000_000;
/// 1970 began on a Thursday.
const HOURS_FROM_MONDAY: i64 = 3 * 24;
/// Lots listed as favourites.
const FAVOURITES: i64 = 5;

/// A driver's figures.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Reservations, without cancelled and expired ones.
    pub bookings: i64,
    /// Running stays: none or one.
    pub active: i64,
    /// Stays that have ended.
    pub completed: i64,
    /// Amount billed for ended stays.
    pub spent: Money,
    /// The part of it that is unpaid.
    pub outstanding: Money,
    /// Total duration of ended stays, in microseconds.
    pub parked_micros: i64,
    /// Names of lots and their bookings, most frequent first.
    pub favourites: Vec<(String, i64)>,
    /// The last twelve months, oldest first.
    pub months: Vec<MonthFigures>,
    /// Reservations that began on each weekday, from Monday.
    pub weekdays: [i64; 7],
    /// Reservations that began in each hour of the day, from midnight.
    pub hours: [i64; 24],
    /// Ended stays by duration: below 1, 2, 4, 6 and 8 hours, and longer ones.
    pub durations: [i64; 6],
}

/// A driver's figures for a month, or for another period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthFigures {
    /// The period.
    pub month: Period,
    /// Reservations that began in it.
    pub bookings: i64,
    /// Amount paid in it.
    pub spent: Money,
}

/// The current report of a driver.
pub async fn report(app: &App, user_id: i64) -> Result<Report> {
    let (now, zone, db) = (app.clock.now(), app.config.zone, app.db.read());
    let Some((first, last)) = first_and_last(db, user_id).await? else {
        return Ok(Report::default());
    };
    let months = calendar::months(now, zone, MONTHS);
    let offsets = calendar::offsets(first, last, zone);
    let (usage, stays, (active, months), favourites) = tokio::try_join!(
        usage(db, user_id, &offsets),
        stays(db, user_id),
        by_month(db, user_id, &months),
        favourites(db, user_id),
    )?;
    let mut report = Report { active, months, favourites, ..Report::default() };
    for Usage { hour_of_week, n } in usage {
        let hour = usize::try_from(hour_of_week).unwrap_or(0);
        report.bookings += n;
        report.weekdays[hour / 24 % 7] += n;
        report.hours[hour % 24] += n;
    }
    for Stays { hours, n, spent, owed, micros } in stays {
        report.completed += n;
        report.spent = Money::from_minor(report.spent.minor() + spent);
        report.outstanding = Money::from_minor(report.outstanding.minor() + owed);
        report.parked_micros += micros;
        report.durations[bucket(hours)] += n;
    }
    Ok(report)
}

/// The index in [`Report::durations`] for a stay of this many full hours.
const fn bucket(hours: i64) -> usize {
    match hours {
        ..1 => 0,
        1 => 1,
        2..4 => 2,
        4..6 => 3,
        6..8 => 4,
        8.. => 5,
    }
}

/// Start of the first and of the last reservation, including cancelled and expired ones.
async fn first_and_last(db: &Pool, user_id: i64) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let one = |order| {
        format!(
            "(SELECT parking_time FROM reservations WHERE user_id = $1 ORDER BY parking_time {order} LIMIT 1)"
        )
    };
    let text = format!("SELECT {} AS first, {} AS last", one("ASC"), one("DESC"));
    let Some(row) = db.query_one_raw(sql(db, &text, [user_id.into()])).await? else { return Ok(None) };
    let (first, last): (Option<_>, Option<_>) = (row.try_get("", "first")?, row.try_get("", "last")?);
    Ok(first.zip(last))
}

#[derive(FromQueryResult)]
struct Usage {
    hour_of_week: i64,
    n: i64,
}

/// Reservations that began in each hour of the local week, from Monday.
async fn usage(db: &Pool, user_id: i64, offsets: &[Offsets]) -> Result<Vec<Usage>> {
    let mut bound = Bound::default();
    let user = bound.value(user_id);
    let micros_of = |one: &Offsets| one.offset.num_microseconds().unwrap_or(0);
    let last = offsets.last().map_or(0, micros_of);
    let cases: String = (offsets.windows(2))
        .map(|two| format!(" WHEN parking_time < {} THEN {}", bound.instant(two[1].from), micros_of(&two[0])))
        .collect();
    let offset = if cases.is_empty() { last.to_string() } else { format!("CASE{cases} ELSE {last} END") };
    let local = format!("{} + {offset}", micros(db, "parking_time"));
    let text = format!(
        "SELECT CAST((({local}) / {HOUR} + {HOURS_FROM_MONDAY}) % (7 * 24) AS BIGINT) AS hour_of_week, COUNT(*) AS n
         FROM reservations WHERE user_id = {user} AND {COUNTED} GROUP BY 1"
    );
    Ok(Usage::find_by_statement(sql(db, &text, bound.values)).all(db).await?)
}

#[derive(FromQueryResult)]
struct Stays {
    hours: i64,
    n: i64,
    spent: i64,
    owed: i64,
    micros: i64,
}

/// Ended stays by full hours.
async fn stays(db: &Pool, user_id: i64) -> Result<Vec<Stays>> {
    let stay = format!("({} - {})", micros(db, "left_at"), micros(db, "parking_time"));
    let text = format!(
        "SELECT CAST({stay} / {HOUR} AS BIGINT) AS hours, COUNT(*) AS n, CAST(SUM(cost_minor) AS BIGINT) AS spent,
                CAST(COALESCE(SUM(cost_minor) FILTER (WHERE payment_state = 'unpaid'), 0) AS BIGINT) AS owed,
                CAST(SUM({stay}) AS BIGINT) AS micros
         FROM reservations WHERE user_id = $1 AND state = 'completed' GROUP BY 1"
    );
    Ok(Stays::find_by_statement(sql(db, &text, [user_id.into()])).all(db).await?)
}

/// The number of running stays, and the figures of each period, from one row.
pub(super) async fn by_month(db: &Pool, user_id: i64, months: &[Period]) -> Result<(i64, Vec<MonthFigures>)> {
    let mut bound = Bound::default();
    let user = bound.value(user_id);
    let columns: String = months
        .iter()
        .map(|month| {
            let (begins, ends) = (bound.instant(month.begins), bound.instant(month.ends));
            format!(
                ", COUNT(*) FILTER (WHERE parking_time >= {begins} AND parking_time < {ends}),
                 CAST({} AS BIGINT)",
                paid_between(&begins, &ends)
            )
        })
        .collect();
    let text = format!(
        "SELECT COUNT(*) FILTER (WHERE state = 'active'){columns}
         FROM reservations WHERE user_id = {user} AND {COUNTED}"
    );
    let Some(row) = db.query_one_raw(sql(db, &text, bound.values)).await? else { return Ok((0, Vec::new())) };
    let months = months.iter().enumerate().map(|(i, month)| {
        let spent = Money::from_minor(row.try_get_by_index(2 * i + 2)?);
        Ok(MonthFigures { month: *month, bookings: row.try_get_by_index(2 * i + 1)?, spent })
    });
    Ok((row.try_get_by_index(0)?, months.collect::<Result<_>>()?))
}

/// A driver's use of a lot in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LotUse {
    /// The lot.
    pub lot_id: i64,
    /// Its current name.
    pub name: String,
    /// Reservations that began in the span.
    pub bookings: i64,
    /// Stays that ended in the span.
    pub stays: i64,
    /// Total duration of those stays, in microseconds.
    pub micros: i64,
    /// Amount billed for them, in minor units.
    pub billed: i64,
    /// Amount paid in the span, in minor units.
    pub spent: i64,
}

/// A driver's lots in a span of time, most bookings first; equal ones in the order of their first use.
pub async fn by_lot(db: &Pool, user_id: i64, span: Range<DateTime<Utc>>) -> Result<Vec<LotUse>> {
    let (began, ended) = (
        "parking_time >= $2 AND parking_time < $3",
        "state = 'completed' AND left_at >= $2 AND left_at < $3",
    );
    let stay = format!("({} - {})", micros(db, "left_at"), micros(db, "parking_time"));
    let spent = paid_between("$2", "$3");
    let text = format!(
        "SELECT lot_id, location_name AS name, bookings, stays, micros, billed, spent
         FROM (SELECT lot_id, MIN(id) AS first, COUNT(*) FILTER (WHERE {began}) AS bookings,
                COUNT(*) FILTER (WHERE {ended}) AS stays,
                CAST(COALESCE(SUM({stay}) FILTER (WHERE {ended}), 0) AS BIGINT) AS micros,
                CAST(COALESCE(SUM(cost_minor) FILTER (WHERE {ended}), 0) AS BIGINT) AS billed,
                CAST({spent} AS BIGINT) AS spent
               FROM reservations WHERE user_id = $1 AND {COUNTED} GROUP BY lot_id) AS by_lot
         JOIN lots l ON l.id = lot_id
         WHERE bookings > 0 OR stays > 0 OR spent <> 0 ORDER BY bookings DESC, stays DESC, first"
    );
    let values = [user_id.into(), at(span.start), at(span.end)];
    Ok(LotUse::find_by_statement(sql(db, &text, values)).all(db).await?)
}

/// The lots with the most reservations, summed up by name; equal ones in the order of their first use.
async fn favourites(db: &Pool, user_id: i64) -> Result<Vec<(String, i64)>> {
    let text = format!(
        "SELECT l.location_name AS name, CAST(SUM(n) AS BIGINT) AS n
         FROM (SELECT lot_id, COUNT(*) AS n, MIN(id) AS first FROM reservations
               WHERE user_id = $1 AND {COUNTED} GROUP BY lot_id) AS by_lot
         JOIN lots l ON l.id = lot_id
         GROUP BY l.location_name ORDER BY SUM(n) DESC, MIN(first) LIMIT {FAVOURITES}"
    );
    let rows = db.query_all_raw(sql(db, &text, [user_id.into()])).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "n")?))).collect()
}
