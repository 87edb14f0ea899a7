//! The Vue client of the old system, with its calls and the fields it reads: it must run unmodified.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Driver, TestApp};

/// The type that the client's code relies on.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Number,
    Text,
    TextOrNull,
    NumberOrNull,
    /// Parsed with `new Date(…)`.
    Time,
    TimeOrNull,
}

use Kind::{Number, NumberOrNull, Text, TextOrNull, Time, TimeOrNull};

impl Kind {
    fn fits(self, value: &Value) -> bool {
        let is_time = || {
            let text = value.as_str().unwrap_or_default();
            let fraction = text.split_once('.').map_or("", |(_, rest)| rest.trim_end_matches('Z'));
            chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z') && fraction.len() <= 6
        };
        match self {
            Number => value.is_number(),
            Text => value.is_string(),
            TextOrNull => value.is_string() || value.is_null(),
            NumberOrNull => value.is_number() || value.is_null(),
            Time => is_time(),
            TimeOrNull => value.is_null() || is_time(),
        }
    }
}

#[track_caller]
fn reads(value: &Value, members: &[(&str, Kind)]) {
    for (name, kind) in members {
        let member = value.get(*name).unwrap_or_else(|| panic!("{name} is missing in {value}"));
        assert!(kind.fits(member), "{name} is not a {kind:?} in {value}");
    }
}

#[track_caller]
fn reads_each(list: &Value, members: &[(&str, Kind)]) {
    let list = list.as_array().unwrap_or_else(|| panic!("not an array: {list}"));
    assert!(!list.is_empty(), "the list is empty");
    list.iter().for_each(|one| reads(one, members));
}

async fn put(t: &TestApp, path: &str, who: &Driver, body: Value) {
    let answer = t.send(t.request(Method::PUT, path, Some(who)).json(&body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
}

const USER: [(&str, Kind); 5] =
    [("id", Number), ("username", Text), ("email", Text), ("role", Text), ("vehicle_number", TextOrNull)];

const LOT: [(&str, Kind); 7] = [
    ("id", Number),
    ("location_name", Text),
    ("price", Number),
    ("address", Text),
    ("pincode", Text),
    ("number_of_slots", Number),
    ("available_slots", Number),
];

#[testkit::both_databases]
async fn old_client_driver_finds_every_field(t: TestApp) {
    let form = json!({ "username": "Asha", "email": "Asha@Example.com", "password": "Correct-horse-1", "role": "user",
        "vehicle_number": "MH12AB1234", "phone_number": "9876543210", "confirmPassword": "Correct-horse-1" });
    let registered = t.post("/auth/register", None, form).await.expect(201);
    reads(&registered.body, &[("token", Text), ("msg", Text)]);
    reads(&registered.body["user"], &USER);
    let login = json!({ "email": "asha@example.com", "password": "Correct-horse-1" });
    let logged_in = t.post("/auth/login", None, login).await.expect(200);
    reads(&logged_in.body["user"], &USER);
    let asha = Driver {
        id: logged_in.body["user"]["id"].as_i64().unwrap(),
        token: logged_in.body["token"].as_str().unwrap().to_owned(),
        email: "asha@example.com".to_owned(),
    };
    // It shows `message` if present, and otherwise its own texts for 401 and 409.
    let wrong =
        t.post("/auth/login", None, json!({ "email": "asha@example.com", "password": "wrong" })).await;
    wrong.problem(401, "invalid_credentials");

    let lot = t.lot(3).await;
    reads_each(&t.get("/parking-lots", Some(&asha)).await.expect(200).body["lots"], &LOT);
    let booked = t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.expect(201);
    reads(
        &booked.body["reservation"],
        &[("id", Number), ("spot_id", Number), ("lot_name", Text), ("parking_time", Time)],
    );
    let own = format!("/users/{}/reservations", asha.id);
    let reservation = [
        ("id", Number),
        ("spot_id", Number),
        ("lot_name", Text),
        ("lot_address", Text),
        ("lot_price", Number),
        ("parking_time", Time),
        ("leaving_time", TimeOrNull),
        ("parking_cost", Number),
        ("transaction_id", TextOrNull),
        ("payment_method", TextOrNull),
    ];
    let running = t.get(&own, Some(&asha)).await.expect(200).body["reservations"].clone();
    reads_each(&running, &reservation);
    assert!(running[0]["leaving_time"].is_null(), "a null marks a running session");

    let paid = json!({ "reservation_id": booked.body["reservation"]["id"], "transaction_id": "TXN0A1B2C3D4E", "payment_method": "qr" });
    let released = t.post("/booking/release-spot", Some(&asha), paid).await.expect(200);
    reads(
        &released.body["reservation"],
        &[
            ("leaving_time", Time),
            ("parking_cost", Number),
            ("transaction_id", Text),
            ("payment_method", Text),
        ],
    );
    assert_eq!(released.body["reservation"]["payment_method"], "UPI");
    reads_each(&t.get(&own, Some(&asha)).await.expect(200).body["reservations"], &reservation);

    let report = t.get("/user-reports", Some(&asha)).await.expect(200).body;
    assert_eq!(report["status"], "success");
    reads(
        &report["data"]["stats"],
        &[
            ("totalSpent", Number),
            ("totalBookings", Number),
            ("activeBookings", Number),
            ("totalHours", Number),
            ("avgHoursPerBooking", Number),
            ("favoriteLocation", Text),
            ("favoriteLocationCount", Number),
        ],
    );
    for (list, length, members) in [
        ("monthlySpending", 12, [("month", Text), ("amount", Number)]),
        ("bookingFrequency", 12, [("month", Text), ("bookings", Number)]),
        ("favoriteLocations", 1, [("name", Text), ("count", Number)]),
        ("dailyUsage", 7, [("day", Text), ("sessions", Number)]),
        ("hourlyUsage", 18, [("hour", Text), ("sessions", Number)]),
        ("durationAnalysis", 6, [("duration", Text), ("count", Number)]),
    ] {
        reads_each(&report["data"][list], &members);
        assert_eq!(report["data"][list].as_array().unwrap().len(), length, "{list}");
    }
    let history = t.get("/user-booking-history", Some(&asha)).await.expect(200).body;
    assert_eq!(history["status"], "success");
    reads_each(
        &history["data"],
        &[
            ("id", Number),
            ("start_time", Time),
            ("end_time", TimeOrNull),
            ("duration_hours", NumberOrNull),
            ("total_amount", Number),
            ("status", Text),
            ("vehicle_number", TextOrNull),
        ],
    );
    reads(&history["data"][0]["parking_space"], &[("name", Text)]);
    put(&t, &format!("/users/{}", asha.id), &asha, json!({ "vehicle_number": "KA05CD5678" })).await;
    // On an administrator's page, a 401 or 422 would log the driver out.
    for path in ["/users", "/reports", "/parking-spots", "/export/parking-details"] {
        t.get(path, Some(&asha)).await.problem(403, "forbidden");
    }
    t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": "x" })).await.problem(400, "invalid");
}

#[testkit::both_databases]
async fn old_client_admin_finds_every_field(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = json!({ "location_name": "Main Street", "price": 25, "address": "1, Main Street", "pincode": "400001", "number_of_slots": 5 });
    let lot = t.post("/parking-lots", Some(&admin), lot).await.expect(201).body["lot"].clone();
    reads(&lot, &LOT);
    t.book(&asha, lot["id"].as_i64().unwrap()).await;
    t.get(&format!("/parking-lots/{}/available-spots", lot["id"]), Some(&admin)).await.expect(200);
    let spots = t.get("/parking-spots", Some(&admin)).await.expect(200).body["spots"].clone();
    reads_each(&spots, &[("id", Number), ("lot_id", Number), ("status", Text), ("user_id", NumberOrNull)]);
    assert!(spots.as_array().unwrap().iter().all(|spot| spot["lot_id"] == lot["id"]), "compared with ===");
    let occupied =
        spots.as_array().unwrap().iter().find(|spot| spot["status"] == "occupied").expect("an occupied spot");
    let spot = t.get(&format!("/parking-spots/{}", occupied["id"]), Some(&admin)).await.expect(200);
    assert_eq!(spot.body["spot"]["user_id"], asha.id);

    let users = t.get("/users", Some(&admin)).await.expect(200).body["users"].clone();
    reads_each(&users, &[USER.as_slice(), &[("phone_number", TextOrNull)]].concat());
    let user = t.get(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200).body["user"].clone();
    reads(&user, &USER);
    // Its forms send the whole object back, with empty strings for empty fields.
    let mut form = lot.clone();
    form["price"] = json!(30.5);
    form["available_slots"] = json!(99);
    put(&t, &format!("/parking-lots/{}", lot["id"]), &admin, form).await;
    assert_eq!(t.get(&format!("/parking-lots/{}", lot["id"]), None).await.body["lot"]["available_slots"], 4);
    for driver in [&asha, &t.driver("Ravi").await] {
        let form = json!({ "id": driver.id, "username": format!("driver{}", driver.id), "email": driver.email, "phone_number": "", "vehicle_number": "", "role": "user" });
        put(&t, &format!("/users/{}", driver.id), &admin, form).await;
    }

    let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
    reads_each(
        &report["parking_lots"],
        &[
            ("location_name", Text),
            ("total_spots", Number),
            ("occupied_spots", Number),
            ("available_spots", Number),
            ("occupancy_rate", Number),
        ],
    );
    reads(
        &report["user_stats"],
        &[("total_users", Number), ("admin_users", Number), ("regular_users", Number)],
    );
    reads(
        &report["reservation_stats"],
        &[("total_reservations", Number), ("active_reservations", Number), ("total_revenue", Number)],
    );
    reads(
        &report["overall_occupancy"],
        &[("total_spots", Number), ("occupied_spots", Number), ("available_spots", Number)],
    );
    for (list, length, members) in [
        ("monthly_trends", 12, [("month", Text), ("reservations", Number)]),
        ("daily_revenue", 30, [("date", Text), ("revenue", Number)]),
        ("monthly_revenue", 12, [("month", Text), ("revenue", Number)]),
    ] {
        reads_each(&report[list], &members);
        assert_eq!(
            report[list].as_array().unwrap().len(),
            length,
            "the client replaces an empty {list} by made-up figures"
        );
    }
    let details = t.get("/export/parking-details", Some(&admin)).await.expect(200).body["data"].clone();
    reads_each(
        &details,
        &[
            ("reservation_id", Number),
            ("user_name", Text),
            ("user_email", Text),
            ("vehicle_number", Text),
            ("parking_lot", Text),
            ("spot_number", Number),
            ("parking_time", Time),
            ("leaving_time", TimeOrNull),
            ("parking_cost", Number),
            ("transaction_id", Text),
            ("payment_method", Text),
            ("status", Text),
        ],
    );
    let month = t.get("/export/monthly-report", Some(&admin)).await.expect(200).body["data"].clone();
    reads(&month, &[("month", Text), ("total_reservations", Number), ("total_revenue", Number)]);
    let ravi = t.log_in("ravi@example.com").await;
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);
}
