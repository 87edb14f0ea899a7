//! Reports: every figure is compared with one computed by hand, for rows at boundary instants, with and without clock
//! changes.

use chrono::TimeDelta;
use chrono_tz::Tz;
use serde_json::{Value, json};
use shared::{
    base::clock::Clock,
    platform::{cache::Group, db::at},
};
use testkit::{Driver, Engine, TestApp};

use crate::report_figures::{Row, assert_has, expected_report, insert, lot_named};
use crate::support::{change, has, noon, number, plain, spots};

/// Parks for the given number of minutes and pays.
pub(crate) async fn parked(t: &TestApp, clock: &Clock, driver: &Driver, lot: i64, minutes: i64) -> i64 {
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
              "occupancy_rate": 0.0, "total_reservations": 1, "total_revenue": 51.0, "outstanding": 0.0 },
            { "id": open, "location_name": "Main Street", "archived": false, "total_spots": 3, "occupied_spots": 1, "available_spots": 2,
              "occupancy_rate": 33.33, "total_reservations": 1, "total_revenue": 0.0, "outstanding": 0.0 },
        ])
    );
    assert_eq!(
        report["overall_occupancy"],
        json!({ "total_spots": 3, "occupied_spots": 1, "available_spots": 2 })
    );
    assert_eq!(
        report["user_stats"],
        json!({ "total_users": 2, "admin_users": 1, "attendant_users": 0, "regular_users": 1 })
    );
    assert_eq!(
        report["reservation_stats"],
        json!({
            "total_reservations": 2, "active_reservations": 1, "completed_reservations": 1, "total_revenue": 51.0,
            "verified_revenue": 0.0, "declared_revenue": 51.0, "refunded": 0.0, "outstanding": 0.0,
        })
    );
    assert_eq!(report["payment_distribution"], json!([{ "method": "UPI", "count": 1 }]));
    assert!(report["redis_analytics"]["total_api_calls"].as_i64().is_some_and(|calls| calls > 3));
    assert_eq!(report["redis_analytics"]["today_reservations"], 2);

    let details = t.get("/export/parking-details", Some(&admin)).await.expect(200);
    has(
        &plain(&details),
        &json!({ "total_records": 2, "data": [
        { "reservation_id": first, "user_name": "erased", "user_email": "erased", "vehicle_number": "N/A", "parking_lot": "Main Street",
          "spot_number": 1, "parking_time": "2026-11-20T12:00:00Z", "leaving_time": "2026-11-20T13:01:00Z",
          "parking_cost": 51.0, "transaction_id": format!("TXN{first}"), "payment_method": "UPI", "status": "Completed" },
        { "reservation_id": second, "user_name": "Ravi", "user_email": "ravi@example.com", "vehicle_number": "N/A", "parking_lot": "Main Street",
          "spot_number": 1, "parking_time": "2026-11-20T15:00:00Z", "leaving_time": null,
          "parking_cost": 0.0, "transaction_id": "N/A", "payment_method": "N/A", "status": "Active" },
    ] }),
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
        "stats": { "totalSpent": 0.0, "outstanding": 0.0, "totalBookings": 0, "activeBookings": 0, "totalHours": 0.0, "avgHoursPerBooking": 0.0,
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
        delay: TimeDelta::zero(),
        verified: false,
        refund: None,
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
            "You have spent ₹51.00 more in November so far than in all of October.",
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
        delay: TimeDelta::zero(),
        verified: false,
        refund: None,
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
    change(&t, "UPDATE reservations SET plate = 'MH01AB1234' WHERE user_id = $1", [asha.id.into()])
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
    has(
        &items[1],
        &json!({
            "id": items[1]["id"], "start_time": "2026-11-20T11:30:00Z", "end_time": null, "duration_hours": null, "total_amount": 0.0,
            "status": "Active", "vehicle_number": "MH01AB1234",
            "parking_space": { "id": lot.1[0], "name": "Station - Spot 1" },
        }),
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
                delay: TimeDelta::zero(),
                verified: false,
                refund: None,
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
