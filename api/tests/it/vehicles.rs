//! The vehicles of a user.

use serde_json::{Value, json};
use testkit::{Driver, TestApp};

use crate::support::{at_once, number, pointers, text};

async fn plates(t: &TestApp, who: &Driver) -> Vec<String> {
    let body = t.get(&format!("/users/{}/vehicles", who.id), Some(who)).await.expect(200).body;
    body["vehicles"].as_array().unwrap().iter().map(|one| one["plate"].as_str().unwrap().to_owned()).collect()
}

async fn add(t: &TestApp, who: &Driver, plate: &str) -> testkit::Answer {
    t.post(&format!("/users/{}/vehicles", who.id), Some(who), json!({ "plate": plate })).await
}

async fn first(t: &TestApp, who: &Driver) -> Value {
    t.get(&format!("/users/{}", who.id), Some(who)).await.expect(200).body["user"]["vehicle_number"].clone()
}

#[testkit::both_databases]
async fn the_first_vehicle_is_the_vehicle_number(t: TestApp) {
    let asha = t.driver("Asha").await;
    let me = format!("/users/{}", asha.id);
    let set =
        async |plate: Value| t.put(&me, Some(&asha), json!({ "vehicle_number": plate })).await.expect(200);
    assert_eq!(plates(&t, &asha).await, [""; 0]);
    let added = add(&t, &asha, " mh 1 ").await.expect(201).body["vehicle"].clone();
    assert_eq!(added["plate"], "mh 1");
    assert_eq!(first(&t, &asha).await, "mh 1");
    add(&t, &asha, "MH 2").await.expect(201);
    add(&t, &asha, "MH 3").await.expect(201);
    assert_eq!(
        (plates(&t, &asha).await, first(&t, &asha).await),
        (vec!["mh 1".into(), "MH 2".into(), "MH 3".into()], json!("mh 1"))
    );
    // The old client changes the first one.
    assert_eq!(set(json!("KA 9")).await.body["user"]["vehicle_number"], "KA 9");
    assert_eq!(plates(&t, &asha).await, ["KA 9", "MH 2", "MH 3"]);
    // A vehicle that is there already comes first, and is not there twice.
    assert_eq!(set(json!("mh-3")).await.body["user"]["vehicle_number"], "mh-3");
    assert_eq!(plates(&t, &asha).await, ["mh-3", "KA 9", "MH 2"]);
    assert_eq!(set(json!("")).await.body["user"]["vehicle_number"], "KA 9");
    assert_eq!(plates(&t, &asha).await, ["KA 9", "MH 2"]);
    let id = t.get(&format!("{me}/vehicles"), Some(&asha)).await.body["vehicles"][0]["id"].clone();
    t.delete(&format!("{me}/vehicles/{id}"), Some(&asha)).await.expect(200);
    t.delete(&format!("{me}/vehicles/{id}"), Some(&asha)).await.problem(404, "not_found");
    assert_eq!((plates(&t, &asha).await, first(&t, &asha).await), (vec!["MH 2".to_owned()], json!("MH 2")));
    set(Value::Null).await;
    assert_eq!((plates(&t, &asha).await, first(&t, &asha).await), (vec![], Value::Null));
}

#[testkit::both_databases]
async fn a_user_has_at_most_ten_vehicles(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let calls = (0..14).map(|n| {
        let path = format!("/users/{}/vehicles", asha.id);
        let request = t.request(reqwest::Method::POST, &path, Some(&asha));
        let request = request.json(&json!({ "plate": format!("MH {n}") }));
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = at_once(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 10, "{statuses:?}");
    add(&t, &asha, "MH 99").await.problem(409, "too_many_vehicles");
    let own = plates(&t, &asha).await[4].clone();
    add(&t, &asha, &own.to_lowercase()).await.problem(409, "vehicle_taken");
    add(&t, &ravi, &own.replace(' ', "-")).await.problem(409, "vehicle_taken");
    for wrong in ["", "--", "x\u{0}", &"x".repeat(21)] {
        assert_eq!(pointers(&add(&t, &ravi, wrong).await), ["/plate"], "{wrong:?}");
    }
    // Nobody removes the vehicle of somebody else by its id alone.
    let path = format!("/users/{}/vehicles", asha.id);
    let his = t.get(&path, Some(&asha)).await.body["vehicles"][0]["id"].clone();
    t.delete(&format!("/users/{}/vehicles/{his}", ravi.id), Some(&ravi)).await.problem(404, "not_found");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM vehicles").await, 10);
}

#[testkit::both_databases]
async fn adding_a_vehicle_is_idempotent(t: TestApp) {
    let asha = t.driver("Asha").await;
    let send = || {
        let path = format!("/users/{}/vehicles", asha.id);
        let request = t.request(reqwest::Method::POST, &path, Some(&asha)).header("idempotency-key", "k1");
        t.send(request.json(&json!({ "plate": "MH 1" })))
    };
    let (one, again) = (send().await.expect(201), send().await.expect(201));
    assert_eq!(one.text, again.text);
    assert_eq!(text(&t, "SELECT MAX(plate) AS t FROM vehicles").await, "MH 1");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM vehicles").await, 1);
}

#[testkit::both_databases]
async fn drivers_say_which_of_their_vehicles_parks(t: TestApp) {
    let (asha, ravi, lot) = (t.driver("Asha").await, t.driver("Ravi").await, t.lot(2).await);
    for plate in ["MH 12 AB 1234", "KA 05 C 77"] {
        add(&t, &asha, plate).await.expect(201);
    }
    let second = t.get(&format!("/users/{}/vehicles", asha.id), Some(&asha)).await.expect(200);
    let second = second.body["vehicles"][1]["id"].clone();
    let from = t.app.clock.now() + chrono::TimeDelta::hours(1);
    let window = json!({ "lot_id": lot, "parking_time": from, "leaving_time": from + chrono::TimeDelta::hours(1), "vehicle_id": second });
    let reserved = t.post("/reservations", Some(&asha), window).await.expect(201);
    assert_eq!(reserved.body["reservation"]["plate"], "KA 05 C 77");
    let booking = json!({ "lot_id": lot, "vehicle_id": second });
    // Of somebody else.
    t.post("/booking/book-spot", Some(&ravi), booking.clone()).await.problem(404, "not_found");
    let booked = t.post("/booking/book-spot", Some(&asha), booking).await.expect(201);
    assert_eq!(booked.body["reservation"]["plate"], "KA 05 C 77");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_reservation_keeps_the_plate_it_was_made_with(t: TestApp) {
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let me = format!("/users/{}", asha.id);
    t.put(&me, Some(&asha), json!({ "vehicle_number": "MH 1" })).await.expect(200);
    let first = t.book(&asha, lot).await;
    t.put(&me, Some(&asha), json!({ "vehicle_number": "KA 9" })).await.expect(200);
    t.release(&asha, first).await.expect(200);
    let second = t.book(&asha, lot).await;
    t.put(&me, Some(&asha), json!({ "vehicle_number": null })).await.expect(200);
    t.release(&asha, second).await.expect(200);
    t.book(&asha, lot).await;
    let history = t.get("/user-booking-history", Some(&asha)).await.expect(200).body["data"].clone();
    let mut shown: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_i64(), row["vehicle_number"].clone()))
        .collect();
    shown.sort_by_key(|(id, _)| *id);
    let shown: Vec<_> = shown.into_iter().map(|(_, plate)| plate).collect();
    assert_eq!(shown, [json!("MH 1"), json!("KA 9"), Value::Null]);
    let _worker = t.work();
    let rows = crate::exports::records(&crate::exports::exported(&t, &asha, json!({})).await);
    assert_eq!(rows.iter().map(|row| row[12].as_str()).collect::<Vec<_>>(), ["MH 1", "KA 9", ""]);
    assert_eq!(text(&t, &format!("SELECT plate AS t FROM reservations WHERE id = {first}")).await, "MH 1");
}
