//! Reports: every figure is compared with one computed by hand, for rows at boundary instants, with and without clock
//! changes.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use shared::{
    base::clock::Clock,
    platform::{
        cache::Group,
        db::{at, sql},
    },
};
use testkit::{Driver, Engine, TestApp};

use crate::support::{change, many_drivers, noon, number, plain, spots};

/// A reservation to be inserted.
#[derive(Debug, Clone)]
struct Row {
    user: i64,
    lot: i64,
    spot: i64,
    state: &'static str,
    parked: DateTime<Utc>,
    /// The departure, or the end of the window.
    left: Option<DateTime<Utc>>,
    cost: i64,
    method: Option<&'static str>,
}

impl Row {
    fn counts(&self) -> bool {
        !["cancelled", "expired"].contains(&self.state)
    }

    fn completed(&self) -> bool {
        self.state == "completed"
    }
}

async fn insert(t: &TestApp, rows: &[Row]) {
    let tx = t.app.db.begin().await.unwrap();
    for (i, row) in rows.iter().enumerate() {
        // Some drivers arrived long after the start of their window.
        let arrived = (row.completed() && i % 2 == 0 || row.state == "active").then_some(row.parked);
        let starts = if arrived.is_some() { row.parked - TimeDelta::days(1) } else { row.parked };
        let left = row.left.filter(|_| row.completed());
        let ends = row.left.filter(|_| !row.completed());
        let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at,
                hourly_rate_minor, cost_minor, payment_method, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 100, $9, $10, $5)";
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
fn rows(instants: &[DateTime<Utc>], drivers: &[Driver], lots: &[(i64, Vec<i64>)]) -> Vec<Row> {
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

/// The sum of the completed rows whose payment time satisfies `when`.
fn paid(rows: &[Row], when: impl Fn(DateTime<Utc>) -> bool) -> Value {
    money(sum(rows.iter().filter(|row| row.completed() && when(row.left.unwrap()))))
}

fn expected_report(rows: &[Row], now: DateTime<Utc>, zone: Tz) -> Value {
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
            "totalSpent": paid(rows, |_| true),
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
fn assert_has(found: &Value, expected: &Value, what: &str) {
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&found[member], value, "{member} {what}");
    }
}

/// A lot with another name than the default.
async fn lot_named(t: &TestApp, name: &str) -> (i64, Vec<i64>) {
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

/// Parks for the given number of minutes and pays.
async fn parked(t: &TestApp, clock: &Clock, driver: &Driver, lot: i64, minutes: i64) -> i64 {
    let id = t.book(driver, lot).await;
    clock.advance(TimeDelta::minutes(minutes));
    let body = json!({ "reservation_id": id, "transaction_id": format!("TXN{id}"), "payment_method": "qr" });
    t.post("/booking/release-spot", Some(driver), body).await.expect(200);
    id
}

/// Defects 54 and 56.
#[testkit::both_databases]
async fn reports_include_erased_drivers_and_archived_lots(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let (gone, open) = (t.lot(2).await, t.lot(3).await);
    let first = parked(&t, &clock, &asha, gone, 61).await;
    clock.advance(TimeDelta::minutes(119));
    let second = t.book(&ravi, open).await;
    let text = "UPDATE users SET deleted_at = $2, username = 'erased', email = 'erased' WHERE id = $1";
    change(&t, text, [asha.id.into(), at(noon())]).await.unwrap();
    change(&t, "UPDATE lots SET archived_at = $2 WHERE id = $1", [gone.into(), at(noon())]).await.unwrap();

    let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
    assert_eq!(
        report["parking_lots"],
        json!([
            { "id": gone, "location_name": "Main Street", "archived": true, "total_spots": 0, "occupied_spots": 0, "available_spots": 0,
              "occupancy_rate": 0.0, "total_reservations": 1, "total_revenue": 51.0 },
            { "id": open, "location_name": "Main Street", "archived": false, "total_spots": 3, "occupied_spots": 1, "available_spots": 2,
              "occupancy_rate": 33.33, "total_reservations": 1, "total_revenue": 0.0 },
        ])
    );
    assert_eq!(
        report["overall_occupancy"],
        json!({ "total_spots": 3, "occupied_spots": 1, "available_spots": 2 })
    );
    assert_eq!(report["user_stats"], json!({ "total_users": 2, "admin_users": 1, "regular_users": 1 }));
    assert_eq!(
        report["reservation_stats"],
        json!({
            "total_reservations": 2, "active_reservations": 1, "completed_reservations": 1, "total_revenue": 51.0,
        })
    );
    assert_eq!(report["payment_distribution"], json!([{ "method": "UPI", "count": 1 }]));
    assert!(report["redis_analytics"]["total_api_calls"].as_i64().is_some_and(|calls| calls > 3));
    assert_eq!(report["redis_analytics"]["today_reservations"], 2);

    let details = t.get("/export/parking-details", Some(&admin)).await.expect(200);
    let spot =
        async |id: i64| number(&t, &format!("SELECT spot_id AS n FROM reservations WHERE id = {id}")).await;
    assert_eq!(
        plain(&details),
        json!({ "total_records": 2, "data": [
        { "reservation_id": first, "user_name": "erased", "user_email": "erased", "vehicle_number": "N/A", "parking_lot": "Main Street",
          "spot_number": spot(first).await, "parking_time": "2026-11-20T12:00:00Z", "leaving_time": "2026-11-20T13:01:00Z",
          "parking_cost": 51.0, "transaction_id": format!("TXN{first}"), "payment_method": "UPI", "status": "Completed" },
        { "reservation_id": second, "user_name": "Ravi", "user_email": "ravi@example.com", "vehicle_number": "N/A", "parking_lot": "Main Street",
          "spot_number": spot(second).await, "parking_time": "2026-11-20T15:00:00Z", "leaving_time": null,
          "parking_cost": 0.0, "transaction_id": "N/A", "payment_method": "N/A", "status": "Active" },
    ] })
    );
}

/// Defect 56: an empty report has all its entries, so that clients need not make them up.
#[testkit::both_databases]
async fn reports_without_reservations_are_zero_and_complete(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
    assert_has(&report, &expected_report(&[], noon(), Tz::Asia__Kolkata), "without rows");
    assert_eq!(report["parking_lots"], json!([]));
    for (member, entries) in [("monthly_trends", 12), ("monthly_revenue", 12), ("daily_revenue", 30)] {
        assert_eq!(report[member].as_array().unwrap().len(), entries, "{member}");
    }
    assert_eq!(report["monthly_revenue"][11], json!({ "month": "November 2026", "revenue": 0.0 }));
    assert_eq!(report["daily_revenue"][29], json!({ "date": "2026-11-20", "revenue": 0.0 }));

    let nothing = json!({
        "stats": { "totalSpent": 0.0, "totalBookings": 0, "activeBookings": 0, "totalHours": 0.0, "avgHoursPerBooking": 0.0,
            "favoriteLocation": "N/A", "favoriteLocationCount": 0 },
        "monthlySpending": [], "bookingFrequency": [], "favoriteLocations": [], "dailyUsage": [], "hourlyUsage": [],
        "durationAnalysis": [], "insights": [],
    });
    let own = async || plain(&t.get("/user-reports", Some(&asha)).await.expect(200));
    assert_eq!(own().await, json!({ "status": "success", "data": nothing }));
    // Cancelled reservations do not count.
    let lot = t.lot(1).await;
    let row = Row {
        user: asha.id,
        lot,
        spot: spots(&t, lot).await[0],
        state: "cancelled",
        parked: noon(),
        left: Some(noon() + TimeDelta::hours(1)),
        cost: 0,
        method: None,
    };
    insert(&t, &[row]).await;
    assert_eq!(own().await["data"], nothing);
    let history = t.get("/user-booking-history", Some(&asha)).await.expect(200);
    assert_eq!(plain(&history), json!({ "status": "success", "data": [] }));
    let details = t.get("/export/parking-details", Some(&admin)).await.expect(200);
    assert_eq!(plain(&details), json!({ "data": [], "total_records": 0 }));
}

#[testkit::both_databases]
async fn report_insights_match_its_figures(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(2).await;
    parked(&t, &clock, &asha, lot, 90).await;
    let report = t.get("/user-reports", Some(&asha)).await.expect(200);
    assert_eq!(
        report.body["data"]["insights"],
        json!([
            "You park most often on Fridays: 1 of 1 bookings.",
            "You usually arrive between 3 PM and 6 PM: 1 of 1 bookings.",
            "A typical stay takes one to two hours: 1 of 1 sessions.",
            "Your favourite parking lot is Main Street, with 1 of 1 bookings.",
            "You have spent 51.00 more in November so far than in all of October.",
        ])
    );
}

#[testkit::both_databases]
async fn history_is_newest_first_across_pages(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = lot_named(&t, "Station").await;
    let row = |driver: &Driver, spot: usize, state, parked: i64, left: Option<i64>, cost| Row {
        user: driver.id,
        lot: lot.0,
        spot: lot.1[spot],
        state,
        parked: noon() + TimeDelta::minutes(parked),
        left: left.map(|left| noon() + TimeDelta::minutes(left)),
        cost,
        method: None,
    };
    // Ids increase while times do not, and two times are equal.
    insert(
        &t,
        &[
            row(&asha, 0, "active", -30, None, 0),
            row(&asha, 1, "completed", -500, Some(-420), 5_100),
            row(&asha, 1, "completed", -500, Some(-500), 2_550),
            row(&asha, 2, "reserved", 60, Some(150), 5_000),
            row(&asha, 2, "expired", 10, Some(20), 0),
            row(&asha, 2, "cancelled", 10, Some(20), 0),
            row(&ravi, 3, "active", -30, None, 0),
            row(&asha, 1, "completed", -1_000, Some(-999), 2_550),
        ],
    )
    .await;
    change(&t, "UPDATE users SET vehicle_number = 'MH01AB1234' WHERE id = $1", [asha.id.into()])
        .await
        .unwrap();
    let whole = t.get("/user-booking-history", Some(&asha)).await.expect(200);
    assert!(!whole.headers.contains_key("link"));
    let items = whole.body["data"].as_array().unwrap().clone();
    let listed: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["status"].as_str().unwrap(),
                item["duration_hours"].as_f64(),
                item["total_amount"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("Reserved", Some(1.5), 50.0),
            ("Active", None, 0.0),
            ("Completed", Some(0.0), 25.5),
            ("Completed", Some(1.33), 51.0),
            ("Completed", Some(0.02), 25.5),
        ]
    );
    assert!(
        items[2]["id"].as_i64() > items[3]["id"].as_i64(),
        "rows with equal times are sorted by descending id"
    );
    assert_eq!(
        items[1],
        json!({
            "id": items[1]["id"], "start_time": "2026-11-20T11:30:00Z", "end_time": null, "duration_hours": null, "total_amount": 0.0,
            "status": "Active", "vehicle_number": "MH01AB1234",
            "parking_space": { "id": lot.1[0], "name": format!("Station - Spot {}", lot.1[0]) },
        })
    );
    assert_eq!(items[3]["end_time"], "2026-11-20T05:00:00Z");
    for limit in 1..=5 {
        let parts = in_parts(&t, "/user-booking-history", limit, &asha).await;
        assert_eq!(parts.concat(), items, "{limit} at a time");
    }
    let admin = t.admin().await;
    let details = t.get("/export/parking-details", Some(&admin)).await.expect(200).body;
    assert_eq!(details["total_records"], 6);
    let parts = in_parts(&t, "/export/parking-details", 2, &admin).await;
    assert_eq!(parts.len(), 3);
    assert_eq!(json!(parts.concat()), details["data"]);
    for cursor in ["x", "1", "99999999999999999999.1"] {
        t.get(&format!("/user-booking-history?cursor={cursor}"), Some(&asha)).await.problem(400, "invalid");
    }
}

/// All pages of a list, found by following their links.
async fn in_parts(t: &TestApp, path: &str, limit: usize, who: &Driver) -> Vec<Vec<Value>> {
    let mut parts = Vec::new();
    let mut next = Some(format!("{path}?limit={limit}"));
    while let Some(path) = next {
        let answer = t.get(&path, Some(who)).await.expect(200);
        parts.push(answer.body["data"].as_array().unwrap().clone());
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        next =
            link.map(|link| link.split(['<', '>']).nth(1).unwrap().strip_prefix("/api").unwrap().to_owned());
    }
    parts
}

#[testkit::both_databases]
async fn global_reports_are_admin_only(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    for path in
        ["/reports", "/export/parking-details", "/export/monthly-report", "/export/anything", "/export/csv"]
    {
        t.get(path, None).await.problem(401, "unauthenticated");
        t.get(path, Some(&asha)).await.problem(403, "forbidden");
    }
    for path in
        ["/export/anything", "/export/csv", "/export/parking-details.csv", "/export/%00", "/export/%ff"]
    {
        t.get(path, Some(&admin)).await.problem(400, "unknown_export");
    }
    t.get("/export/csv/nothing", Some(&admin)).await.problem(404, "not_found");
    t.post("/export/parking-details", Some(&admin), json!({})).await.problem(405, "method_not_allowed");
    for path in ["/user-reports", "/user-booking-history"] {
        t.get(path, None).await.problem(401, "unauthenticated");
    }
}

/// Statements of one request, as PostgreSQL counts transactions. A statement outside a transaction counts as one.
async fn statements(t: &TestApp, path: &str, who: &Driver) -> i64 {
    let committed = async || {
        // Flushes the statistics of the single connection.
        change(t, "SELECT pg_stat_force_next_flush()", []).await.unwrap();
        number(t, "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()").await
    };
    // A background health check may add a statement, so the minimum of several runs is used.
    let (mut with, mut without) = (i64::MAX, i64::MAX);
    for _ in 0..5 {
        let before = committed().await;
        without = without.min(committed().await - before);
        let before = committed().await;
        t.app.cache.invalidate(&[Group::Catalog]).await;
        t.get(path, Some(who)).await.expect(200);
        with = with.min(committed().await - before);
    }
    with - without
}

/// Defect 47.
#[tokio::test(flavor = "multi_thread")]
async fn report_statement_count_does_not_grow_with_data() {
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_CONNECTIONS", "1")])
        .await
        .at(Clock::fixed(noon()))
        .await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let paths = [
        ("/reports", &admin),
        ("/user-reports", &asha),
        ("/user-booking-history", &asha),
        ("/export/parking-details", &admin),
        ("/export/monthly-report", &admin),
    ];
    let mut counts = Vec::new();
    for lots in [1, 20] {
        for i in 0..lots {
            let lot = lot_named(&t, &format!("Lot {i}")).await;
            let row = |days: i64| Row {
                user: asha.id,
                lot: lot.0,
                spot: lot.1[0],
                state: "completed",
                parked: noon() - TimeDelta::days(days),
                left: Some(noon() - TimeDelta::days(days)),
                cost: 100,
                method: Some("UPI"),
            };
            insert(&t, &(1..20).map(row).collect::<Vec<_>>()).await;
        }
        let mut of_each = Vec::new();
        for (path, who) in paths {
            of_each.push(statements(&t, path, who).await);
        }
        counts.push(of_each);
    }
    assert_eq!(counts[0], counts[1], "the number of statements must not depend on the number of rows");
    // One or two of them look up the session.
    let limits = [5, 7, 3, 4, 3];
    assert!(counts[1].iter().zip(limits).all(|(count, limit)| (1..=limit).contains(count)), "{counts:?}");
}
