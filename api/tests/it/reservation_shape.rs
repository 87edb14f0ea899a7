//! Every answer shows a reservation in the same shape.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, TestApp};

use crate::{
    reservations::window,
    support::{has, noon, spots},
};

/// The members that are not for older clients.
const MEMBERS: [&str; 17] = [
    "id",
    "user_id",
    "state",
    "lot",
    "spot_id",
    "spot_number",
    "created_at",
    "starts_at",
    "ends_at",
    "arrived_at",
    "left_at",
    "hourly_rate",
    "charged_hours",
    "actual_duration_hours",
    "quote",
    "cost_so_far",
    "cost",
];

fn shape(reservation: &Value) -> Value {
    let member = |name: &str| {
        let value = reservation.get(name).unwrap_or_else(|| panic!("{name} is missing in {reservation}"));
        (name.to_owned(), value.clone())
    };
    Value::Object(MEMBERS.into_iter().map(member).collect())
}

/// The reservation as every list and every read shows it, which must be the same.
async fn everywhere(t: &TestApp, asha: &Driver, admin: &Driver, id: &Value) -> Value {
    let one = t.get(&format!("/reservations/{id}"), Some(asha)).await.expect(200).body["reservation"].clone();
    // With a limit, so that it does not come from the cache, whose clock the test cannot move.
    for (path, who, list) in [
        (format!("/users/{}/reservations?state=all&limit=9", asha.id), asha, "reservations"),
        ("/reservations".to_owned(), admin, "reservations"),
        ("/user-booking-history?limit=9".to_owned(), asha, "data"),
        ("/export/parking-details".to_owned(), admin, "data"),
    ] {
        let listed = t.get(&path, Some(who)).await.expect(200).body[list][0].clone();
        assert_eq!(shape(&listed), shape(&one), "{path}");
    }
    shape(&one)
}

#[testkit::both_databases]
async fn a_reservation_has_one_shape_everywhere(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let lot = t.lot(2).await;
    let spot = spots(&t, lot).await[1];
    let minutes = TimeDelta::minutes;
    let body = window(spot, noon() + minutes(30), noon() + minutes(120));
    let made = t.post("/reservations", Some(&asha), body).await.expect(201).body["reservation"].clone();
    let id = made["id"].clone();
    assert_eq!(shape(&made), everywhere(&t, &asha, &admin, &id).await);
    has(
        &made,
        &json!({
            "user_id": asha.id, "state": "upcoming", "lot": { "id": lot, "name": "Main Street", "address": "1, Main Street" },
            "spot_id": spot, "spot_number": 2, "created_at": "2026-11-20T12:00:00Z", "starts_at": "2026-11-20T12:30:00Z",
            "ends_at": "2026-11-20T14:00:00Z", "arrived_at": null, "left_at": null, "hourly_rate": 25.5,
            "charged_hours": null, "actual_duration_hours": null, "quote": 38.25, "cost_so_far": null, "cost": null,
        }),
    );

    clock.advance(minutes(40));
    let body = json!({ "reservation_id": id });
    let arrived = t.post("/booking/occupy-spot", Some(&asha), body.clone()).await.expect(200);
    let arrived = arrived.body["reservation"].clone();
    assert_eq!(shape(&arrived), everywhere(&t, &asha, &admin, &id).await);
    has(
        &arrived,
        &json!({ "state": "active", "arrived_at": "2026-11-20T12:40:00Z", "charged_hours": 1, "quote": null,
            "cost_so_far": 25.5, "cost": null }),
    );

    clock.advance(minutes(75));
    let left =
        t.post("/booking/release-spot", Some(&asha), body).await.expect(200).body["reservation"].clone();
    assert_eq!(shape(&left), everywhere(&t, &asha, &admin, &id).await);
    has(
        &left,
        &json!({ "state": "completed", "left_at": "2026-11-20T13:55:00Z", "charged_hours": 2,
            "actual_duration_hours": 1.25, "cost_so_far": null, "cost": 51.0 }),
    );
}

#[testkit::both_databases]
async fn the_running_cost_grows_with_each_started_hour(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    let hour = TimeDelta::hours(1);
    for (passes, hours, cost) in [
        (TimeDelta::zero(), 1, 25.5),
        (hour, 1, 25.5),
        (TimeDelta::microseconds(1), 2, 51.0),
        (hour * 737 - TimeDelta::microseconds(1), 738, 18_819.0),
    ] {
        clock.advance(passes);
        let asha = t.log_in(&asha.email).await;
        let one =
            t.get(&format!("/reservations/{id}"), Some(&asha)).await.expect(200).body["reservation"].clone();
        has(&one, &json!({ "charged_hours": hours, "cost_so_far": cost, "cost": null, "parking_cost": 0.0 }));
    }
    let asha = t.log_in(&asha.email).await;
    let bill = t.release(&asha, id).await.expect(200).body["reservation"].clone();
    has(&bill, &json!({ "cost_so_far": null, "cost": 18_819.0, "parking_cost": 18_819.0 }));
}

/// A cached list must not outlive the running cost that it shows.
#[testkit::both_databases]
async fn a_cached_list_ends_when_the_next_hour_begins(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    t.book(&asha, lot).await;
    clock.advance(TimeDelta::hours(1) - TimeDelta::milliseconds(200));
    let path = format!("/users/{}/reservations", asha.id);
    let cost =
        async || t.get(&path, Some(&asha)).await.expect(200).body["reservations"][0]["cost_so_far"].clone();
    assert_eq!(cost().await, 25.5);
    clock.advance(TimeDelta::milliseconds(201));
    t.eventually("the next hour is shown", async || cost().await == 51.0).await;
}
