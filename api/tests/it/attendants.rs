//! Attendants: their role and lots, and cars that arrive and leave by their plate.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::{base::clock::Clock, parking::notifications::alert};
use testkit::{Answer, Driver, PASSWORD, TestApp};

use crate::{
    race::{post_at_once, tally, two_processes},
    support::{change, has, noon, number, pointers},
};

/// Makes an attendant of these lots, as an administrator does.
pub(crate) async fn attendant(t: &TestApp, admin: &Driver, name: &str, lots: &[i64]) -> Driver {
    let driver = t.driver(name).await;
    let path = format!("/users/{}", driver.id);
    t.put(&path, Some(admin), json!({ "role": "attendant" })).await.expect(200);
    t.put(&format!("{path}/lots"), Some(admin), json!({ "lot_ids": lots })).await.expect(200);
    t.log_in(&driver.email).await
}

async fn arrive(t: &TestApp, who: &Driver, lot: i64, plate: &str) -> Answer {
    t.post("/attendant/arrivals", Some(who), json!({ "lot_id": lot, "plate": plate })).await
}

async fn depart(t: &TestApp, who: &Driver, lot: i64, plate: &str, payment: Value) -> Answer {
    let mut body = payment;
    (body["lot_id"], body["plate"]) = (json!(lot), json!(plate));
    t.post("/attendant/departures", Some(who), body).await
}

async fn with_vehicle(t: &TestApp, driver: &Driver, plate: &str) {
    let path = format!("/users/{}/vehicles", driver.id);
    t.post(&path, Some(driver), json!({ "plate": plate })).await.expect(201);
}

#[testkit::both_databases]
async fn a_role_and_its_lots_apply_at_once(t: TestApp) {
    let (admin, lot, other) = (t.admin().await, t.lot(1).await, t.lot(1).await);
    let driver = t.driver("Asha").await;
    let (user, lots) = (format!("/users/{}", driver.id), format!("/users/{}/lots", driver.id));
    let assign = async |ids: Value| t.put(&lots, Some(&admin), json!({ "lot_ids": ids })).await;
    assign(json!([lot])).await.problem(409, "not_an_attendant");
    let role = async |role: &str| t.put(&user, Some(&admin), json!({ "role": role })).await.expect(200);
    assert_eq!(role("attendant").await.body["user"]["role"], "attendant");
    t.get("/attendant/lots", Some(&driver)).await.problem(401, "unauthenticated");

    let asha = t.log_in(&driver.email).await;
    assert_eq!(t.get("/attendant/lots", Some(&asha)).await.expect(200).body["lots"], json!([]));
    let spots = format!("/attendant/lots/{lot}/spots");
    t.get(&spots, Some(&asha)).await.problem(403, "forbidden");
    assert_eq!(assign(json!([other, lot, lot])).await.expect(200).body["lot_ids"], json!([lot, other]));
    t.get(&spots, Some(&asha)).await.expect(200);
    assert_eq!(pointers(&assign(json!([lot, 999_999])).await), ["/lot_ids"]);
    assert_eq!(assign(json!([lot])).await.expect(200).body["lot_ids"], json!([lot]));
    t.get(&format!("/attendant/lots/{other}/spots"), Some(&asha)).await.problem(403, "forbidden");
    t.get("/attendant/lots/999999/spots", Some(&asha)).await.problem(404, "not_found");
    let own = t.get("/attendant/lots", Some(&asha)).await.expect(200).body["lots"].clone();
    assert_eq!((own[0]["id"].clone(), own.as_array().unwrap().len()), (json!(lot), 1));

    role("user").await;
    t.get(&spots, Some(&asha)).await.problem(401, "unauthenticated");
    let again = t.log_in(&driver.email).await;
    t.get(&spots, Some(&again)).await.problem(403, "forbidden");
    assert_eq!(t.get(&lots, Some(&admin)).await.expect(200).body["lot_ids"], json!([]));
    let audit = t.get("/admin/audit", Some(&admin)).await.expect(200).body["rows"].clone();
    let actions = audit.as_array().unwrap().iter().map(|row| row["action"].clone());
    let actions: Vec<_> = actions.filter(|action| action != "logged_in").take(4).collect();
    assert_eq!(actions, ["role_changed", "lots_assigned", "lots_assigned", "role_changed"]);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn the_last_administrator_cannot_become_an_attendant(t: TestApp) {
    let admin = t.admin().await;
    let path = format!("/users/{}", admin.id);
    t.put(&path, Some(&admin), json!({ "role": "attendant" })).await.problem(409, "last_admin");
    t.delete(&path, Some(&admin)).await.problem(403, "forbidden");
}

#[testkit::both_databases]
async fn a_car_without_an_account_has_a_bill_and_a_receipt(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, lot) = (t.admin().await, t.lot(3).await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    let here = arrive(&t, &guard, lot, "ka-01 x 1234").await.expect(201);
    has(&here.body["reservation"], &json!({ "state": "active", "plate": "ka-01 x 1234" }));
    arrive(&t, &guard, lot, "KA 01 X 1234").await.problem(409, "plate_parked");
    // The account of the lot has several sessions at once.
    arrive(&t, &guard, lot, "KA 02").await.expect(201);
    let spots = t.get(&format!("/attendant/lots/{lot}/spots"), Some(&guard)).await.expect(200);
    let plates: Vec<_> = spots.body["spots"].as_array().unwrap().iter().map(|spot| &spot["plate"]).collect();
    assert_eq!(plates, [&json!("ka-01 x 1234"), &json!("KA 02"), &Value::Null]);
    clock.advance(TimeDelta::minutes(61));

    let cash = json!({ "payment_method": "cash" });
    let left = depart(&t, &guard, lot, "KA01X1234", cash).await.expect(200);
    has(
        &left.body["reservation"],
        &json!({ "state": "completed", "cost": 51.0, "payment": { "state": "paid", "verified": true, "method": "Cash" } }),
    );
    let receipt = left.body["receipt"].as_str().unwrap();
    for line in ["Vehicle     ka-01 x 1234", "Total       ₹51.00", "Paid by     Cash"] {
        assert!(receipt.contains(line), "{receipt}");
    }
    depart(&t, &guard, lot, "KA01X1234", json!({})).await.problem(404, "not_found");

    let unpaid = depart(&t, &guard, lot, "KA02", json!({})).await.expect(200).body["reservation"].clone();
    let list = t.get(&format!("/attendant/lots/{lot}/unpaid"), Some(&guard)).await.expect(200);
    assert_eq!(list.body["reservations"][0]["id"], unpaid["id"]);
    let pay = format!("/reservations/{}/payment", unpaid["id"]);
    let paid = t.post(&pay, Some(&guard), json!({ "payment_method": "card" })).await.expect(200);
    has(&paid.body["reservation"]["payment"], &json!({ "state": "paid", "verified": true }));
    assert_eq!(
        number(
            &t,
            "SELECT COUNT(*) AS n FROM jobs WHERE kind IN ('send-receipt', 'send-confirmation', 'send-sms')"
        )
        .await,
        0
    );
    t.is_sound().await;
}

#[testkit::both_databases]
async fn nobody_can_use_the_account_of_a_lot(t: TestApp) {
    let (admin, lot) = (t.admin().await, t.lot(1).await);
    arrive(&t, &admin, lot, "KA 01").await.expect(201);
    let house = number(&t, "SELECT id AS n FROM users WHERE house_lot_id IS NOT NULL").await;
    let user = format!("/users/{house}");
    t.get(&user, Some(&admin)).await.problem(404, "not_found");
    t.put(&user, Some(&admin), json!({ "password": PASSWORD })).await.problem(404, "not_found");
    t.delete(&user, Some(&admin)).await.problem(404, "not_found");
    let book = json!({ "user_id": house, "lot_id": lot, "parking_time": noon(), "leaving_time": noon() });
    assert_eq!(t.post("/reservations", Some(&admin), book).await.status, 400);
    let email = format!("house-{lot}@house.invalid");
    let login = json!({ "email": email, "password": "none" });
    t.post("/auth/login", None, login).await.problem(401, "invalid_credentials");
    t.post("/auth/forgot-password", None, json!({ "email": email })).await.expect(202);
    assert_eq!(number(&t, &format!("SELECT COUNT(*) AS n FROM jobs WHERE owner_id = {house}")).await, 0);
    let users = t.get("/users", Some(&admin)).await.expect(200).body["users"].clone();
    assert_eq!(users.as_array().unwrap().len(), 1);
    let stats = t.get("/reports", Some(&admin)).await.expect(200).body["data"]["user_stats"].clone();
    has(&stats, &json!({ "total_users": 1, "regular_users": 0 }));
}

#[testkit::both_databases]
async fn a_plate_of_a_driver_starts_the_drivers_own_stay(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(2).await, t.driver("Asha").await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    with_vehicle(&t, &asha, "MH 1").await;
    with_vehicle(&t, &asha, "MH 2").await;
    let here = arrive(&t, &guard, lot, "mh2").await.expect(201).body["reservation"].clone();
    has(&here, &json!({ "user_id": asha.id, "plate": "MH 2", "ends_at": null }));
    let again = arrive(&t, &guard, lot, "MH 1").await;
    again.problem(409, "already_parked");
    assert!(again.body["detail"].as_str().unwrap().starts_with("the driver of this car"));
    // Booked with the application, the stay names the first vehicle.
    depart(&t, &guard, lot, "MH 2", json!({ "payment_method": "cash" })).await.expect(200);
    t.book(&asha, lot).await;
    let left = depart(&t, &guard, lot, "MH 2", json!({})).await.expect(200).body["reservation"].clone();
    has(&left, &json!({ "user_id": asha.id, "plate": "MH 1", "payment": { "state": "unpaid" } }));
    let mails = "SELECT COUNT(*) AS n FROM jobs WHERE kind IN ('send-confirmation', 'send-receipt')";
    assert_eq!(number(&t, mails).await, 4);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn an_arrival_by_plate_uses_the_drivers_reservation(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(1).await, t.driver("Asha").await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    with_vehicle(&t, &asha, "MH 1").await;
    with_vehicle(&t, &asha, "MH 2").await;
    let window = json!({ "lot_id": lot, "parking_time": noon() + TimeDelta::hours(1), "leaving_time": noon() + TimeDelta::hours(2) });
    let id = t.post("/reservations", Some(&asha), window).await.expect(201).body["reservation"]["id"].clone();
    // The only spot is kept for her, also from herself.
    arrive(&t, &guard, lot, "MH 2").await.problem(409, "lot_full");
    clock.advance(TimeDelta::minutes(46));
    let once = t.request(reqwest::Method::POST, "/attendant/arrivals", Some(&guard));
    let once = once.header("idempotency-key", "gate-1").json(&json!({ "lot_id": lot, "plate": "MH 2" }));
    let again = once.try_clone().unwrap();
    let here = t.send(once).await.expect(201).body["reservation"].clone();
    has(&here, &json!({ "id": id, "state": "active", "plate": "MH 2" }));
    assert_eq!(t.send(again).await.expect(201).headers["idempotency-replayed"], "true");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_plate_is_in_one_place_only(t: TestApp) {
    let (admin, lot, asha) = (t.admin().await, t.lot(3).await, t.driver("Asha").await);
    arrive(&t, &admin, lot, "MH 1").await.expect(201);
    with_vehicle(&t, &asha, "MH 1").await;
    t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.problem(409, "plate_parked");
    arrive(&t, &admin, lot, "mh 1").await.problem(409, "plate_parked");
    depart(&t, &admin, lot, "MH1", json!({})).await.expect(200);
    t.book(&asha, lot).await;

    let (_processes, clients) = two_processes(&t).await;
    let calls = (0..6).map(|_| (admin.clone(), json!({ "lot_id": lot, "plate": "KA 7" }))).collect();
    let answers = tally(&post_at_once(&clients, "/attendant/arrivals", calls).await);
    assert_eq!(answers[&(201, String::new())], 1, "{answers:?}");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users WHERE house_lot_id IS NOT NULL").await, 1);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn attendants_act_at_their_lots_only(t: TestApp) {
    let (admin, lot, other) = (t.admin().await, t.lot(3).await, t.lot(3).await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let (here, there) = (t.book(&asha, lot).await, t.book(&ravi, other).await);
    arrive(&t, &guard, other, "KA 1").await.problem(403, "forbidden");
    depart(&t, &guard, other, "KA 1", json!({})).await.problem(403, "forbidden");
    t.release(&guard, there).await.problem(404, "not_found");
    t.get(&format!("/reservations/{there}"), Some(&guard)).await.problem(404, "not_found");
    t.release(&guard, here).await.expect(200);
    let bill = async |id: i64, what: &str, who: &Driver| {
        t.post(
            &format!("/reservations/{id}/{what}"),
            Some(who),
            json!({ "payment_method": "cash", "reason": "broken" }),
        )
        .await
    };
    t.release(&ravi, there).await.expect(200);
    bill(there, "payment", &ravi).await.expect(200);
    bill(there, "payment/verify", &guard).await.problem(404, "not_found");
    let declared = bill(here, "payment", &asha).await.expect(200);
    has(&declared.body["reservation"]["payment"], &json!({ "verified": false }));
    let verified = bill(here, "payment/verify", &guard).await.expect(200);
    has(&verified.body["reservation"]["payment"], &json!({ "verified": true }));
    for what in ["waive", "refund"] {
        bill(here, what, &guard).await.problem(403, "forbidden");
    }
    // What they say about their own stay is a claim, as with every driver.
    let own = t.book(&guard, lot).await;
    t.release(&guard, own).await.expect(200);
    let claim = bill(own, "payment", &guard).await.expect(200);
    has(&claim.body["reservation"]["payment"], &json!({ "verified": false }));
    bill(own, "payment/verify", &guard).await.problem(403, "forbidden");
    t.delete(&format!("/reservations/{here}"), Some(&guard)).await.problem(404, "not_found");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn windows_that_cannot_leave_a_spot_are_announced_once(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(2).await, t.driver("Asha").await);
    for _ in 0..2 {
        let window = json!({ "lot_id": lot, "parking_time": noon() + TimeDelta::days(2), "leaving_time": noon() + TimeDelta::days(3) });
        t.post("/reservations", Some(&asha), window).await.expect(201);
    }
    let path = format!("/parking-lots/{lot}");
    let smaller = t.put(&path, Some(&admin), json!({ "number_of_slots": 1 })).await.expect(200);
    assert_eq!(smaller.body["retiring_slots"], 1);
    let announced = async || {
        shared::parking::bookings::reseat_all(&t.app).await.unwrap();
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-notice'").await
    };
    assert_eq!(announced().await, 1);
    let payload = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-notice'
        AND payload LIKE '%Main Street, spot 2%' AND payload LIKE '%from 2026-11-22T12:00:00Z to 2026-11-23T12:00:00Z%'";
    assert_eq!(number(&t, payload).await, 1);
    clock.advance(TimeDelta::hours(2));
    assert_eq!(announced().await, 1, "not a second time");
    assert!(alert::due(&t.app, alert::Alert::StuckWindow).await.unwrap().is_some());
    change(&t, "UPDATE reservations SET stuck_announced_at = NULL", []).await.unwrap();
    assert_eq!(announced().await, 2);
}
