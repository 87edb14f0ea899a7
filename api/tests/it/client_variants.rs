//! Values as real clients write them: times in many forms, numbers for texts, texts for numbers.

use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, TestApp};

use crate::support::{ENGINES, noon, number, pointers, spots, text};

/// Case 14.
#[testkit::both_databases]
async fn times_as_clients_write_them_are_accepted(t: TestApp) {
    let t = t.at(Clock::fixed("2027-02-01T12:00:00Z".parse().unwrap())).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    for (sent, read) in [
        (["2027-03-01T18:30Z", "2027-03-01T19:30:00+0000"], ["2027-03-01T18:30:00Z", "2027-03-01T19:30:00Z"]),
        (
            ["2027-03-02t18:30:00z", "2027-03-03 01:00:00.5 05:30"],
            ["2027-03-02T18:30:00Z", "2027-03-02T19:30:00.500Z"],
        ),
        (
            ["2027-03-03 18:30:00 +0000", "2027-03-03T19:30:00+00"],
            ["2027-03-03T18:30:00Z", "2027-03-03T19:30:00Z"],
        ),
    ] {
        let body = json!({ "spot_id": spot, "parking_time": sent[0], "leaving_time": sent[1] });
        let made = t.post("/reservations", Some(&asha), body).await.expect(201).body["reservation"].clone();
        assert_eq!([&made["parking_time"], &made["leaving_time"]], read);
        t.delete(&format!("/reservations/{}", made["id"]), Some(&asha)).await.expect(200);
        t.post("/export/csv/request", Some(&asha), json!({ "from": sent[0], "to": sent[1] }))
            .await
            .expect(202);
    }
    let body = json!({ "spot_id": spot, "parking_time": "tomorrow", "leaving_time": "2027-03-01T19:30+5" });
    assert_eq!(
        pointers(&t.post("/reservations", Some(&asha), body).await),
        ["/parking_time", "/leaving_time"]
    );
}

/// Case 15.
#[tokio::test(flavor = "multi_thread")]
async fn exports_take_days_without_a_midnight() {
    for engine in ENGINES {
        let t = TestApp::start_with(engine, &[("APP_TIMEZONE", "America/Santiago")]).await;
        let asha = t.driver("Asha").await;
        let ask = async |body: Value| t.post("/export/csv/request", Some(&asha), body).await;
        ask(json!({ "from": "2026-09-06" })).await.expect(202);
        ask(json!({ "from": "2026-09-05", "to": "2026-09-06" })).await.expect(202);
        let first = match engine {
            testkit::Engine::Sqlite => "SELECT MAX(from_at) || ' ' || MAX(until_at) AS t FROM exports",
            testkit::Engine::Postgres => {
                "SELECT (MAX(from_at) AT TIME ZONE 'UTC')::text || ' ' || (MAX(until_at) AT TIME ZONE 'UTC')::text AS t FROM exports"
            }
        };
        let stored = text(&t, first).await.replace('T', " ").replace("+00:00", "");
        assert_eq!(stored, "2026-09-06 04:00:00 2026-09-06 04:00:00", "01:00 local time");
        let skipped = ask(json!({ "from": "2026-09-06T00:30" })).await;
        assert_eq!(pointers(&skipped), ["/from"]);
        assert!(skipped.text.contains("does not exist in America/Santiago"), "{}", skipped.text);
    }
}

fn lot() -> Value {
    json!({ "location_name": "Main Street", "price": 25.5, "address": "1, Main Street", "pincode": "700001", "number_of_slots": 1 })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

/// Case 16.
#[testkit::both_databases]
async fn digits_may_be_sent_as_numbers(t: TestApp) {
    let admin = t.admin().await;
    let create = async |body: Value| t.post("/parking-lots", Some(&admin), body).await;
    let made = create(with(lot(), "pincode", json!(700_001))).await.expect(201).body["lot"].clone();
    assert_eq!(made["pincode"], "700001");
    let path = format!("/parking-lots/{}", made["id"]);
    let changed =
        t.put(&path, Some(&admin), json!({ "pincode": 400_002, "location_name": 7 })).await.expect(200);
    assert_eq!([&changed.body["lot"]["pincode"], &changed.body["lot"]["location_name"]], ["400002", "7"]);
    for value in
        [json!(7e5), json!(1.5), json!(-700_001), json!(true), json!(["700001"]), json!(1e300), Value::Null]
    {
        let answer = create(with(lot(), "pincode", value.clone())).await;
        assert_eq!(pointers(&answer), ["/pincode"], "{value}");
    }
    let form = json!({ "username": "Asha", "email": "asha@example.com", "password": testkit::PASSWORD,
        "vehicle_number": 1234, "phone_number": 9_876_543_210_i64 });
    let user = t.post("/auth/register", None, form).await.expect(201).body["user"].clone();
    assert_eq!(user["vehicle_number"], "1234");
    assert!(user["phone_number"].as_str().unwrap().ends_with("9876543210"), "{user}");
    let changed = json!({ "vehicle_number": 5678, "phone_number": null });
    let user = t.put(&format!("/users/{}", user["id"]), Some(&admin), changed).await.expect(200).body["user"]
        .clone();
    assert_eq!([&user["vehicle_number"], &user["phone_number"]], [&json!("5678"), &Value::Null]);
}

#[testkit::both_databases]
async fn transaction_ids_may_be_numbers(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha: Driver = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    let paid = json!({ "reservation_id": id, "transaction_id": 4_711, "payment_method": "upi" });
    let bill = t.post("/booking/release-spot", Some(&asha), paid).await.expect(200);
    assert_eq!(bill.body["reservation"]["transaction_id"], "4711");
}

#[testkit::both_databases]
async fn numbers_of_a_lot_may_be_sent_as_text(t: TestApp) {
    let admin = t.admin().await;
    let create = async |body: Value| t.post("/parking-lots", Some(&admin), body).await;
    let body = with(with(lot(), "price", json!("50.5")), "number_of_slots", json!("3"));
    let made = create(body).await.expect(201).body["lot"].clone();
    assert_eq!((&made["price"], &made["number_of_slots"]), (&json!(50.5), &json!(3)));
    for price in ["", "abc", "1e400", "inf", "NaN", "50,5", "0x10", "-1"] {
        assert_eq!(pointers(&create(with(lot(), "price", json!(price))).await), ["/price"], "{price}");
    }
    assert_eq!(pointers(&create(with(lot(), "price", json!(true))).await), ["/price"]);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 1);
}
