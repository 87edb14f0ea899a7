//! Every figure of the reports, compared with a naive count over rows at boundary instants, with and without clock changes.

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use shared::{
    base::clock::Clock,
    platform::db::{at, sql},
};
use std::collections::BTreeMap;
use testkit::{Driver, Engine, TestApp};

use crate::support::{change, many_drivers, spots};

/// A reservation to be inserted.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) user: i64,
    pub(crate) lot: i64,
    pub(crate) spot: i64,
    pub(crate) state: &'static str,
    pub(crate) parked: DateTime<Utc>,
    /// The departure, or the end of the window.
    pub(crate) left: Option<DateTime<Utc>>,
    pub(crate) cost: i64,
    /// Without a method, a stay that cost something is unpaid.
    pub(crate) method: Option<&'static str>,
    /// From the departure to the payment.
    pub(crate) delay: TimeDelta,
    pub(crate) verified: bool,
    /// From the payment to the refund.
    pub(crate) refund: Option<TimeDelta>,
}

impl Row {
    fn counts(&self) -> bool {
        !["cancelled", "expired"].contains(&self.state)
    }

    fn completed(&self) -> bool {
        self.state == "completed"
    }

    fn paid_at(&self) -> Option<DateTime<Utc>> {
        let is_paid = self.completed() && (self.method.is_some() || self.cost == 0);
        self.left.filter(|_| is_paid).map(|left| left + self.delay)
    }

    fn is_paid(&self) -> bool {
        self.paid_at().is_some() && self.refunded_at().is_none()
    }

    fn refunded_at(&self) -> Option<DateTime<Utc>> {
        self.paid_at().filter(|_| self.cost > 0).zip(self.refund).map(|(paid, later)| paid + later)
    }
}

pub(crate) async fn insert(t: &TestApp, rows: &[Row]) {
    let tx = t.app.db.begin().await.unwrap();
    for (i, row) in rows.iter().enumerate() {
        // Some drivers arrived long after the start of their window.
        let arrived = (row.completed() && i % 2 == 0 || row.state == "active").then_some(row.parked);
        let starts = if arrived.is_some() { row.parked - TimeDelta::days(1) } else { row.parked };
        let left = row.left.filter(|_| row.completed());
        let ends = row.left.filter(|_| !row.completed());
        let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at,
                hourly_rate_minor, cost_minor, payment_method, payment_state, paid_at, payment_verified_at, created_at,
                refunded_at, refund_reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 100, $9, $10, $11, $12, $13, $5, $14, $15)";
        let (unpaid, paid_at) = (row.completed().then_some("unpaid"), row.paid_at());
        let refunded = row.refunded_at().map(|_| "refunded");
        let values = [
            row.user.into(),
            row.lot.into(),
            row.spot.into(),
            row.state.into(),
            at(starts),
            at(ends),
            at(arrived),
            at(left),
            row.cost.into(),
            row.method.map(str::to_owned).into(),
            refunded.or(paid_at.map(|_| "paid")).or(unpaid).map(str::to_owned).into(),
            at(paid_at),
            at(paid_at.filter(|_| row.verified)),
            at(row.refunded_at()),
            refunded.map(str::to_owned).into(),
        ];
        tx.execute_raw(sql(&tx, text, values)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// The starts of days and months, and clock changes, of the last 14 months, each with the microseconds around it.
fn boundary_instants(now: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
    let quarter = TimeDelta::minutes(15);
    let start = DateTime::from_timestamp(now.timestamp() / 900 * 900, 0).unwrap() - TimeDelta::days(420);
    let mut found = vec![now, now - TimeDelta::microseconds(1)];
    let mut before = start;
    while before < now + TimeDelta::days(1) {
        let after = before + quarter;
        let (was, is) = (before.with_timezone(&zone), after.with_timezone(&zone));
        let day = was.date_naive() != is.date_naive() && now - after < TimeDelta::days(32);
        let changed = was.offset().fix() != is.offset().fix();
        if day || changed || was.month() != is.month() {
            found.extend([-1, 0, 1].map(|micros| after + TimeDelta::microseconds(micros)));
        }
        before = after;
    }
    found
}

/// Durations just below, at and above the limits.
fn stays() -> Vec<TimeDelta> {
    let micro = TimeDelta::microseconds(1);
    let hours = [1, 2, 4, 6, 8].map(TimeDelta::hours);
    hours
        .into_iter()
        .flat_map(|hour| [hour - micro, hour, hour + micro])
        .chain([TimeDelta::zero(), micro, TimeDelta::days(45)])
        .collect()
}

/// Reservations of two drivers in two lots.
pub(crate) fn rows(instants: &[DateTime<Utc>], drivers: &[Driver], lots: &[(i64, Vec<i64>)]) -> Vec<Row> {
    let stays = stays();
    let methods = [None, Some("UPI"), Some("Card"), Some("bitcoin"), Some("UPI")];
    let row = |(i, parked): (usize, &DateTime<Utc>)| {
        let state = match i % 7 {
            3 => "cancelled",
            5 if i % 2 == 0 => "expired",
            _ => "completed",
        };
        let (lot, spots) = &lots[i % 3 % 2];
        let method = if state == "completed" { methods[i % methods.len()] } else { None };
        Row {
            user: drivers[usize::from(i % 4 == 1)].id,
            lot: *lot,
            spot: spots[0],
            state,
            parked: *parked,
            left: Some(*parked + stays[i * 5 % stays.len()])
                .filter(|left| left > parked || state == "completed"),
            cost: 101 + 7 * i as i64,
            method,
            delay: TimeDelta::days(if i % 4 == 2 { 33 } else { 0 }),
            verified: i % 3 == 0,
            refund: (i % 9 == 4).then(|| TimeDelta::days([0, 1, 34][i / 9 % 3])),
        }
    };
    instants.iter().enumerate().map(row).collect()
}

/// Open reservations: a running session of each driver, and upcoming windows.
fn live(now: DateTime<Utc>, drivers: &[Driver], lots: &[(i64, Vec<i64>)]) -> Vec<Row> {
    let row = |user: i64, (lot, spots): &(i64, Vec<i64>), spot: usize, state, parked, left| Row {
        user,
        lot: *lot,
        spot: spots[spot],
        state,
        parked,
        left,
        cost: 5_000,
        method: None,
        delay: TimeDelta::zero(),
        verified: false,
        refund: None,
    };
    let hour = TimeDelta::hours(1);
    vec![
        row(drivers[0].id, &lots[0], 1, "active", now - TimeDelta::days(40), None),
        row(drivers[1].id, &lots[1], 1, "active", now, None),
        row(drivers[0].id, &lots[0], 2, "reserved", now + hour, Some(now + hour * 2)),
        row(
            drivers[0].id,
            &lots[0],
            2,
            "reserved",
            now + TimeDelta::days(40),
            Some(now + TimeDelta::days(41)),
        ),
    ]
}

fn month_of(instant: DateTime<Utc>, zone: Tz) -> (i32, u32) {
    let local = instant.with_timezone(&zone);
    (local.year(), local.month())
}

/// The month of `now` and the eleven months before it.
fn last_months(now: DateTime<Utc>, zone: Tz) -> Vec<(i32, u32)> {
    let (year, month) = month_of(now, zone);
    let back = |i: i32| year * 12 + i32::try_from(month).unwrap() - 1 - i;
    (0..12)
        .rev()
        .map(|i| (back(i).div_euclid(12), u32::try_from(back(i).rem_euclid(12)).unwrap() + 1))
        .collect()
}

fn named((year, month): (i32, u32), format: &str) -> String {
    NaiveDate::from_ymd_opt(year, month, 1).unwrap().format(format).to_string()
}

#[track_caller]
fn money(minor: i64) -> Value {
    json!(minor as f64 / 100.0)
}

fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> i64 {
    rows.map(|row| row.cost).sum()
}

/// The sum of the rows whose payment time satisfies `when`, less those whose refund does.
fn paid(rows: &[Row], when: impl Fn(DateTime<Utc>) -> bool) -> Value {
    let refunded = sum(rows.iter().filter(|row| row.refunded_at().is_some_and(&when)));
    money(sum(rows.iter().filter(|row| row.paid_at().is_some_and(&when))) - refunded)
}

fn amount(rows: &[Row], which: impl Fn(&Row) -> bool) -> Value {
    money(sum(rows.iter().filter(|row| which(row))))
}

pub(crate) fn expected_report(rows: &[Row], now: DateTime<Utc>, zone: Tz) -> Value {
    let months = last_months(now, zone);
    let in_month = |month: &(i32, u32)| {
        rows.iter().filter(|row| row.counts() && month_of(row.parked, zone) == *month).count()
    };
    let today = now.with_timezone(&zone).date_naive();
    let days = (0..30).rev().map(|back| today - TimeDelta::days(back));
    let is_on = |day: NaiveDate| move |left: DateTime<Utc>| left.with_timezone(&zone).date_naive() == day;
    let mut methods: BTreeMap<&str, i64> = BTreeMap::new();
    rows.iter().filter_map(|row| row.method).for_each(|method| *methods.entry(method).or_default() += 1);
    let mut methods: Vec<_> = methods.into_iter().collect();
    methods.sort_by_key(|(method, count)| (-count, *method));
    let of_state = |state: &str| rows.iter().filter(|row| row.state == state).count();
    json!({
        "monthly_trends": months.iter().map(|month| json!({ "month": named(*month, "%B %Y"), "reservations": in_month(month) })).collect::<Vec<_>>(),
        "monthly_revenue": months.iter()
            .map(|month| json!({ "month": named(*month, "%B %Y"), "revenue": paid(rows, |left| month_of(left, zone) == *month) })).collect::<Vec<_>>(),
        "daily_revenue": days.map(|day| json!({ "date": day.to_string(), "revenue": paid(rows, is_on(day)) })).collect::<Vec<_>>(),
        "payment_distribution": methods.iter().map(|(method, count)| json!({ "method": method, "count": count })).collect::<Vec<_>>(),
        "reservation_stats": {
            "total_reservations": rows.iter().filter(|row| row.counts()).count(),
            "active_reservations": of_state("active"),
            "completed_reservations": of_state("completed"),
            "total_revenue": paid(rows, |_| true),
            "verified_revenue": amount(rows, |row| row.is_paid() && row.verified),
            "declared_revenue": amount(rows, |row| row.is_paid() && !row.verified),
            "refunded": amount(rows, |row| row.refunded_at().is_some()),
            "outstanding": amount(rows, |row| row.completed() && row.paid_at().is_none()),
        },
    })
}

fn expected_user_report(rows: &[Row], now: DateTime<Utc>, zone: Tz, lot_names: &[(i64, &str)]) -> Value {
    let months = last_months(now, zone);
    let counted: Vec<_> = rows.iter().filter(|row| row.counts()).collect();
    let count = |condition: &dyn Fn(&Row) -> bool| counted.iter().filter(|row| condition(row)).count();
    let local = |row: &Row| row.parked.with_timezone(&zone);
    let weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let hours = (6..24).map(|hour: u32| {
        (
            hour,
            format!("{} {}", if hour > 12 { hour - 12 } else { hour }, if hour < 12 { "AM" } else { "PM" }),
        )
    });
    let limits = [
        ("< 1 hour", 0, 1),
        ("1-2 hours", 1, 2),
        ("2-4 hours", 2, 4),
        ("4-6 hours", 4, 6),
        ("6-8 hours", 6, 8),
        ("> 8 hours", 8, 100_000),
    ];
    let stay = |row: &Row| row.left.unwrap() - row.parked;
    let took = |from: i64, until: i64| {
        count(&|row| {
            row.completed() && stay(row) >= TimeDelta::hours(from) && stay(row) < TimeDelta::hours(until)
        })
    };
    let total: i64 =
        counted.iter().filter(|row| row.completed()).map(|row| stay(row).num_microseconds().unwrap()).sum();
    let total = total as f64 / 3.6e9;
    let tenth = |hours: f64| (hours * 10.0).round() / 10.0;
    let mut favourites: Vec<_> = lot_names
        .iter()
        .map(|(lot, name)| (*name, count(&|row| row.lot == *lot)))
        .filter(|(_, n)| *n > 0)
        .collect();
    favourites.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    json!({
        "stats": {
            "totalSpent": amount(rows, Row::completed),
            "outstanding": amount(rows, |row| row.completed() && row.paid_at().is_none()),
            "totalBookings": counted.len(),
            "activeBookings": count(&|row| row.state == "active"),
            "totalHours": tenth(total),
            "avgHoursPerBooking": tenth(total / counted.len() as f64),
            "favoriteLocation": favourites[0].0,
            "favoriteLocationCount": favourites[0].1,
        },
        "monthlySpending": months.iter().map(|month| json!({ "month": named(*month, "%b"), "amount": paid(rows, |left| month_of(left, zone) == *month) })).collect::<Vec<_>>(),
        "bookingFrequency": months.iter().map(|month| json!({ "month": named(*month, "%b"), "bookings": count(&|row| month_of(row.parked, zone) == *month) })).collect::<Vec<_>>(),
        "favoriteLocations": favourites.iter().map(|(name, count)| json!({ "name": name, "count": count })).collect::<Vec<_>>(),
        "dailyUsage": weekdays.iter().zip(0..).map(|(day, i)| json!({ "day": day, "sessions": count(&|row| local(row).weekday().num_days_from_monday() == i) })).collect::<Vec<_>>(),
        "hourlyUsage": hours.map(|(hour, label)| json!({ "hour": label, "sessions": count(&|row| local(row).hour() == hour) })).collect::<Vec<_>>(),
        "durationAnalysis": limits.map(|(label, from, until)| json!({ "duration": label, "count": took(from, until) })),
    })
}

/// Compares only the members that `expected` has.
#[track_caller]
pub(crate) fn assert_has(found: &Value, expected: &Value, what: &str) {
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&found[member], value, "{member} {what}");
    }
}

/// A lot with another name than the default.
pub(crate) async fn lot_named(t: &TestApp, name: &str) -> (i64, Vec<i64>) {
    let lot = t.lot(4).await;
    change(t, "UPDATE lots SET location_name = $2 WHERE id = $1", [lot.into(), name.into()]).await.unwrap();
    (lot, spots(t, lot).await)
}

const PLACES: [(&str, Tz, &str); 7] = [
    ("the last microsecond of March", Tz::Asia__Kolkata, "2026-03-31T18:29:59.999999Z"),
    ("the first instant of May", Tz::Asia__Kolkata, "2026-04-30T18:30:00Z"),
    ("a day of 25 hours", Tz::Europe__Berlin, "2026-10-25T12:00:00Z"),
    ("a day of 23 hours", Tz::Europe__Berlin, "2026-03-29T12:00:00Z"),
    ("after a leap day", Tz::Europe__Berlin, "2028-03-15T12:00:00Z"),
    ("a midnight that does not exist", Tz::America__Sao_Paulo, "2018-11-04T12:00:00Z"),
    ("a zone of half an hour with clock changes", Tz::Australia__Adelaide, "2026-05-31T12:00:00Z"),
];

/// Defects 25, 26 and 27.
async fn check_figures(engine: Engine) {
    for (place, zone, now) in PLACES {
        let now: DateTime<Utc> = now.parse().unwrap();
        let t =
            TestApp::start_with(engine, &[("APP_TIMEZONE", zone.name())]).await.at(Clock::fixed(now)).await;
        let drivers = many_drivers(&t, "driver", 2).await;
        let lots = [lot_named(&t, "Main Street").await, lot_named(&t, "Station").await];
        let mut all = rows(&boundary_instants(now, zone), &drivers, &lots);
        all.extend(live(now, &drivers, &lots));
        insert(&t, &all).await;

        let what = format!("at {place} on {engine:?}");
        let report = t.get("/reports", Some(&t.admin().await)).await.expect(200).body;
        assert_has(&report["data"], &expected_report(&all, now, zone), &what);
        for driver in &drivers {
            let own: Vec<_> = all.iter().filter(|row| row.user == driver.id).cloned().collect();
            let report = t.get("/user-reports", Some(driver)).await.expect(200).body;
            assert_eq!(report["status"], "success");
            let names = [(lots[0].0, "Main Street"), (lots[1].0, "Station")];
            assert_has(&report["data"], &expected_user_report(&own, now, zone, &names), &what);
        }
        let month = t.get("/export/monthly-report", Some(&t.admin().await)).await.expect(200).body;
        let this = month_of(now, zone);
        let began = all.iter().filter(|row| row.counts() && month_of(row.parked, zone) == this).count();
        let expected = json!({
            "month": named(this, "%B %Y"), "total_reservations": began, "total_revenue": paid(&all, |left| month_of(left, zone) == this),
            "report_generated_at": shared::base::time::rfc3339(now),
        });
        assert_eq!(month["data"], expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_match_a_naive_count_on_sqlite() {
    check_figures(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_match_a_naive_count_on_postgres() {
    check_figures(Engine::Postgres).await;
}
