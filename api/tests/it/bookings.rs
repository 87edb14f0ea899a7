//! Booking, arrival, departure and billing.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::support::{change, has, noon, number, plain, pointers, reserve, seconds, spots};

async fn book(t: &TestApp, who: &Driver, lot: i64) -> Answer {
    t.post("/booking/book-spot", Some(who), json!({ "lot_id": lot })).await
}

async fn occupy(t: &TestApp, who: &Driver, reservation: i64) -> Answer {
    t.post("/booking/occupy-spot", Some(who), json!({ "reservation_id": reservation })).await
}

async fn pay(t: &TestApp, who: &Driver, reservation: i64, transaction: Value, method: Value) -> Answer {
    let body =
        json!({ "reservation_id": reservation, "transaction_id": transaction, "payment_method": method });
    t.post("/booking/release-spot", Some(who), body).await
}

async fn free(t: &TestApp, lot: i64) -> i64 {
    let lot = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200).body["lot"].clone();
    let listed = t.get(&format!("/parking-lots/{}/available-spots", lot["id"]), None).await.expect(200);
    assert_eq!(listed.body["count"], lot["available_slots"], "both endpoints agree");
    lot["available_slots"].as_i64().unwrap()
}

#[testkit::both_databases]
async fn booking_matches_the_contract(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(2).await;
    let first = spots(&t, lot).await[0];
    let answer = book(&t, &asha, lot).await.expect(201);
    let id = answer.body["reservation"]["id"].as_i64().expect("a number");
    has(
        &plain(&answer),
        &json!({ "reservation": {
            "id": id, "spot_id": first, "lot_name": "Main Street", "parking_time": "2026-11-20T12:00:00Z",
            "leaving_time": null, "parking_cost": 0.0, "status": "active",
        }}),
    );
    assert_eq!(free(&t, lot).await, 1);
}

#[testkit::both_databases]
async fn release_matches_the_contract(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(100) + TimeDelta::microseconds(500_000));
    let answer = pay(&t, &asha, id, json!("TXN0123456"), json!("card")).await.expect(200);
    has(
        &plain(&answer),
        &json!({ "reservation": {
            "id": id, "spot_id": spot, "parking_time": "2026-11-20T12:00:00Z", "leaving_time": "2026-11-20T13:40:00.500Z",
            "actual_duration_hours": 1.67, "charged_hours": 2, "parking_cost": 51.0, "hourly_rate": 25.5,
            "transaction_id": "TXN0123456", "payment_method": "Card", "status": "completed",
        }}),
    );
    assert_eq!(free(&t, lot).await, 1);
    let list = plain(&t.get(&format!("/users/{}/reservations", asha.id), Some(&asha)).await.expect(200));
    has(
        &list,
        &json!({ "user": "Asha", "reservations": [{
            "id": id, "spot_id": spot, "lot_name": "Main Street", "lot_address": "1, Main Street", "lot_price": 25.5,
            "parking_time": "2026-11-20T12:00:00Z", "leaving_time": "2026-11-20T13:40:00.500Z", "parking_cost": 51.0,
            "transaction_id": "TXN0123456", "payment_method": "Card", "status": "completed",
        }]}),
    );
}

#[testkit::both_databases]
async fn each_started_hour_is_billed(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    for (stay, hours, charged, cost) in [
        (seconds(0), 0.0, 1, 25.5),
        (seconds(3_599), 1.0, 1, 25.5),
        (seconds(3_600), 1.0, 1, 25.5),
        (seconds(3_600) + TimeDelta::microseconds(1), 1.0, 2, 51.0),
        (seconds(3_601), 1.0, 2, 51.0),
        (seconds(7_200), 2.0, 2, 51.0),
        (seconds(7_201), 2.0, 3, 76.5),
        (seconds(11 * 3_600 + 1_800), 11.5, 12, 306.0),
    ] {
        let asha = t.log_in(&asha.email).await;
        let id = t.book(&asha, lot).await;
        clock.advance(stay);
        let bill = t.release(&asha, id).await.expect(200).body["reservation"].clone();
        let billed = (&bill["actual_duration_hours"], &bill["charged_hours"], &bill["parking_cost"]);
        assert_eq!(billed, (&json!(hours), &json!(charged), &json!(cost)), "{stay}");
    }
}

/// Defect 23.
#[testkit::both_databases]
async fn price_changes_do_not_affect_running_sessions(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let before = t.book(&asha, lot).await;
    change(&t, "UPDATE lots SET price_minor = 9900 WHERE id = $1", [lot.into()]).await.unwrap();
    let after = t.book(&ravi, lot).await;
    let list = t.get(&format!("/users/{}/reservations", asha.id), Some(&asha)).await.expect(200);
    assert_eq!(list.body["reservations"][0]["lot_price"], 25.5);
    for (who, id, rate) in [(&asha, before, 25.5), (&ravi, after, 99.0)] {
        let bill = t.release(who, id).await.expect(200).body["reservation"].clone();
        assert_eq!((&bill["hourly_rate"], &bill["parking_cost"]), (&json!(rate), &json!(rate)));
    }
}

#[testkit::both_databases]
async fn a_driver_has_at_most_one_session(t: TestApp) {
    let asha = t.driver("Asha").await;
    let (lot, other, full) = (t.lot(2).await, t.lot(1).await, t.lot(1).await);
    let ravi = t.driver("Ravi").await;
    t.book(&ravi, full).await;
    t.book(&asha, lot).await;
    for lot in [lot, other, full] {
        book(&t, &asha, lot).await.problem(409, "already_parked");
    }
    assert_eq!((free(&t, lot).await, free(&t, other).await), (1, 1));
}

#[testkit::both_databases]
async fn full_lot_conflicts_and_unknown_lot_is_not_found(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    book(&t, &ravi, lot).await.problem(409, "lot_full");
    for unknown in [0, -1, 999_999, i64::MAX, i64::MIN] {
        book(&t, &ravi, unknown).await.problem(404, "not_found");
    }
    t.release(&asha, id).await.expect(200);
    book(&t, &ravi, lot).await.expect(201);
    change(&t, "UPDATE lots SET archived_at = created_at WHERE id = $1", [lot.into()]).await.unwrap();
    book(&t, &asha, lot).await.problem(404, "not_found");
}

#[testkit::both_databases]
async fn repeated_release_bills_once(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(30));
    let first = pay(&t, &asha, id, json!("TXN1"), json!("qr")).await.expect(200);
    let next = t.book(&ravi, lot).await;
    clock.advance(TimeDelta::hours(5));
    for (transaction, method) in [
        (json!("TXN1"), json!("qr")),
        (json!(null), json!(null)),
        (json!(""), json!("")),
        (json!("TXN1"), json!("cash")),
    ] {
        let again = pay(&t, &asha, id, transaction, method).await.expect(200);
        assert_eq!(again.body, first.body);
    }
    pay(&t, &asha, id, json!("TXN2"), json!("qr")).await.problem(409, "paid_otherwise");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 1);
    assert_eq!(number(&t, "SELECT CAST(SUM(cost_minor) AS BIGINT) AS n FROM reservations").await, 2550);
    assert_eq!(free(&t, lot).await, 0, "the next driver keeps the spot");
    t.release(&ravi, next).await.expect(200);
}

#[testkit::both_databases]
async fn payment_methods_are_normalized(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    for (sent, stored) in [
        (json!("qr"), json!("UPI")),
        (json!("upi"), json!("UPI")),
        (json!("card"), json!("Card")),
        (json!("cash"), json!("Cash")),
        (json!("UPI"), json!("UPI")),
        (json!("bitcoin"), json!("bitcoin")),
        (json!(""), json!(null)),
        (json!(null), json!(null)),
    ] {
        let id = t.book(&asha, lot).await;
        let bill = pay(&t, &asha, id, json!(null), sent.clone()).await.expect(200);
        assert_eq!(bill.body["reservation"]["payment_method"], stored, "{sent}");
    }
}

#[testkit::both_databases]
async fn invalid_payment_leaves_the_session_active(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    for (field, value) in [
        ("transaction_id", json!("x".repeat(51))),
        ("transaction_id", json!("a\u{0}b")),
        ("transaction_id", json!(true)),
        ("payment_method", json!("x".repeat(21))),
        ("payment_method", json!("\u{0}")),
        ("payment_method", json!({})),
        ("reservation_id", json!("7")),
        ("reservation_id", json!(7.5)),
        ("reservation_id", json!(null)),
    ] {
        let mut body = json!({ "reservation_id": id });
        body[field] = value.clone();
        let answer = t.post("/booking/release-spot", Some(&asha), body).await;
        assert_eq!(pointers(&answer), [format!("/{field}")], "{value}");
    }
    assert_eq!(free(&t, lot).await, 0);
    pay(&t, &asha, id, json!("x".repeat(50)), json!("x".repeat(20))).await.expect(200);
}

#[testkit::both_databases]
async fn foreign_reservations_are_not_found(t: TestApp) {
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    t.release(&ravi, id).await.problem(404, "not_found");
    occupy(&t, &ravi, id).await.problem(404, "not_found");
    for unknown in [0, -1, 999_999, i64::MAX] {
        t.release(&asha, unknown).await.problem(404, "not_found");
        occupy(&t, &asha, unknown).await.problem(404, "not_found");
        t.release(&admin, unknown).await.problem(404, "not_found");
        occupy(&t, &admin, unknown).await.problem(404, "not_found");
    }
    assert_eq!(free(&t, lot).await, 0);
    t.release(&asha, id).await.expect(200);
    t.release(&ravi, id).await.problem(404, "not_found");
}

#[testkit::both_databases]
async fn admins_occupy_and_release_for_the_owner(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let lot = t.lot(2).await;
    let spot = spots(&t, lot).await[0];
    let id = reserve(&t, asha.id, spot, noon(), noon() + TimeDelta::hours(1)).await.unwrap();
    occupy(&t, &admin, id).await.expect(200);
    book(&t, &asha, lot).await.problem(409, "already_parked");
    let running = t.book(&admin, lot).await;
    let bill = t.release(&admin, id).await.expect(200);
    assert_eq!(t.release(&asha, id).await.expect(200).body, bill.body);
    t.release(&admin, running).await.expect(200);
    let of = |user: i64| {
        format!("SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'release' AND user_id = {user}")
    };
    assert_eq!((number(&t, &of(asha.id)).await, number(&t, &of(admin.id)).await), (1, 1));
    let receipts =
        format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt' AND owner_id = {}", asha.id);
    assert_eq!(number(&t, &receipts).await, 1);
}

/// Defect 9.
#[testkit::both_databases]
async fn release_is_idempotent(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    let send = async |key: &str, transaction: &str| {
        let body = json!({ "reservation_id": id, "transaction_id": transaction });
        let request = t.request(reqwest::Method::POST, "/booking/release-spot", Some(&asha));
        t.send(request.header("idempotency-key", key).json(&body)).await
    };
    let first = send("one", "TXN1").await.expect(200);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    clock.advance(TimeDelta::hours(3));
    let again = send("one", "TXN1").await.expect(200);
    assert_eq!((again.headers["idempotency-replayed"].to_str().unwrap(), &again.body), ("true", &first.body));
    send("one", "TXN2").await.problem(422, "idempotency_key_reused");
    send("two", "TXN2").await.problem(409, "paid_otherwise");
    for replayed in [false, true] {
        let later = send("three", "TXN1").await.expect(200);
        assert_eq!(
            (later.headers.contains_key("idempotency-replayed"), &later.body),
            (replayed, &first.body)
        );
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 1);
}

#[testkit::both_databases]
async fn reserved_spot_can_be_occupied_shortly_before_its_start(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(2).await;
    let spot = spots(&t, lot).await[0];
    let begin = noon() + TimeDelta::minutes(25);
    let id = reserve(&t, asha.id, spot, begin, begin + TimeDelta::hours(1)).await.unwrap();
    assert_eq!(free(&t, lot).await, 1, "an upcoming reservation makes the spot unavailable");
    t.release(&asha, id).await.problem(409, "wrong_state");
    occupy(&t, &asha, id).await.problem(409, "too_early");
    clock.advance(TimeDelta::minutes(10) - TimeDelta::microseconds(1));
    occupy(&t, &asha, id).await.problem(409, "too_early");
    clock.advance(TimeDelta::minutes(5) + TimeDelta::microseconds(1));
    let answer = occupy(&t, &asha, id).await.expect(200);
    has(
        &plain(&answer),
        &json!({ "reservation": {
            "id": id, "spot_id": spot, "parking_time": "2026-11-20T12:15:00Z", "status": "occupied",
        }}),
    );
    occupy(&t, &asha, id).await.problem(409, "wrong_state");
    book(&t, &asha, lot).await.problem(409, "already_parked");
    let listed = t.get(&format!("/users/{}/reservations", asha.id), Some(&asha)).await.expect(200);
    assert_eq!(listed.body["reservations"][0]["leaving_time"], Value::Null, "the session is still running");
    clock.advance(TimeDelta::minutes(61));
    let bill = t.release(&asha, id).await.expect(200).body["reservation"].clone();
    assert_eq!(
        (&bill["charged_hours"], &bill["parking_cost"]),
        (&json!(2), &json!(51.0)),
        "from arrival to departure"
    );
    occupy(&t, &asha, id).await.problem(409, "wrong_state");
}

#[testkit::both_databases]
async fn cancelled_and_expired_reservations_stay_closed(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    for (state, code) in [("cancelled", "wrong_state"), ("expired", "expired")] {
        let id = reserve(&t, asha.id, spot, noon(), noon() + TimeDelta::hours(1)).await.unwrap();
        change(&t, "UPDATE reservations SET state = $2 WHERE id = $1", [id.into(), state.into()])
            .await
            .unwrap();
        occupy(&t, &asha, id).await.problem(409, code);
        t.release(&asha, id).await.problem(409, code);
    }
    assert_eq!(free(&t, lot).await, 1);
}

#[testkit::both_databases]
async fn overstayed_spot_is_swapped_for_a_free_one(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let one = noon() + TimeDelta::hours(1);
    let before = reserve(&t, asha.id, first, noon(), one).await.unwrap();
    let after = reserve(&t, ravi.id, first, one, one + TimeDelta::hours(1)).await.unwrap();
    occupy(&t, &asha, before).await.expect(200);
    clock.advance(TimeDelta::minutes(65));
    let answer = occupy(&t, &ravi, after).await.expect(200);
    assert_eq!(answer.body["reservation"]["spot_id"], second);
    assert_eq!(free(&t, lot).await, 0);
    t.release(&asha, before).await.expect(200);
    t.release(&ravi, after).await.expect(200);
    assert_eq!(free(&t, lot).await, 2);
}

#[testkit::both_databases]
async fn overstayed_spot_in_a_full_lot_is_a_conflict(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let one = noon() + TimeDelta::hours(1);
    let before = reserve(&t, asha.id, spot, noon(), one).await.unwrap();
    let after = reserve(&t, ravi.id, spot, one, one + TimeDelta::hours(1)).await.unwrap();
    occupy(&t, &asha, before).await.expect(200);
    clock.advance(TimeDelta::minutes(65));
    occupy(&t, &ravi, after).await.problem(409, "spot_overstayed");
    t.release(&asha, before).await.expect(200);
    let answer = occupy(&t, &ravi, after).await.expect(200);
    assert_eq!(answer.body["reservation"]["spot_id"], spot, "later the request succeeds");
}

#[testkit::both_databases]
async fn parked_drivers_cannot_arrive_again(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(2).await;
    let second = spots(&t, lot).await[1];
    let reserved = reserve(&t, asha.id, second, noon(), noon() + TimeDelta::hours(1)).await.unwrap();
    let running = t.book(&asha, lot).await;
    occupy(&t, &asha, reserved).await.problem(409, "already_parked");
    t.release(&asha, running).await.expect(200);
    occupy(&t, &asha, reserved).await.expect(200);
}

#[testkit::both_databases]
async fn walk_ins_do_not_get_reserved_spots(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let soon = t.app.clock.now() + TimeDelta::minutes(110);
    reserve(&t, asha.id, spot, soon, soon + TimeDelta::hours(1)).await.unwrap();
    book(&t, &ravi, lot).await.problem(409, "lot_full");
}

#[testkit::both_databases]
async fn only_the_owner_and_admins_act_on_a_reservation(t: TestApp) {
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    for _ in 0..2 {
        let id = t.book(&asha, lot).await;
        t.release(&asha, id).await.expect(200);
    }
    let path = format!("/users/{}/reservations", asha.id);
    let own = t.get(&path, Some(&asha)).await.expect(200);
    assert_eq!(own.body["reservations"].as_array().unwrap().len(), 2);
    assert!(own.body["reservations"][0]["id"].as_i64() < own.body["reservations"][1]["id"].as_i64());
    assert_eq!(t.get(&path, Some(&admin)).await.expect(200).body, own.body);
    t.get(&path, Some(&ravi)).await.problem(403, "forbidden");
    t.get(&path, None).await.problem(401, "unauthenticated");
    let none = t.get(&format!("/users/{}/reservations", ravi.id), Some(&ravi)).await.expect(200);
    assert_eq!(none.body["reservations"], json!([]));
    let first = t.get(&format!("{path}?limit=1"), Some(&asha)).await.expect(200);
    assert_eq!(
        first.body["reservations"].as_array().unwrap()[..],
        own.body["reservations"].as_array().unwrap()[..1]
    );
    let link = first.headers["link"].to_str().unwrap().to_owned();
    let next = link.strip_prefix("</api").and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    let second = t.get(next, Some(&asha)).await.expect(200);
    assert_eq!(
        second.body["reservations"].as_array().unwrap()[..],
        own.body["reservations"].as_array().unwrap()[1..]
    );
    assert!(!second.headers.contains_key("link") && !own.headers.contains_key("link"));
    t.get("/users/999999/reservations", Some(&admin)).await.problem(404, "not_found");
    t.get("/users/999999/reservations", Some(&asha)).await.problem(403, "forbidden");
    for wrong in ["abc", "1.5", "99999999999999999999", "%00"] {
        t.get(&format!("/users/{wrong}/reservations"), Some(&asha)).await.problem(400, "invalid");
    }
}

#[testkit::both_databases]
async fn unknown_actions_are_rejected(t: TestApp) {
    let asha = t.driver("Asha").await;
    for action in ["book", "Book-Spot", "BOOK-SPOT", "cancel-spot", "%00", "book-spot%20"] {
        t.post(&format!("/booking/{action}"), Some(&asha), json!({})).await.problem(400, "unknown_action");
        t.post(&format!("/booking/{action}"), None, json!({})).await.problem(401, "unauthenticated");
    }
}

#[testkit::both_databases]
async fn each_booking_and_release_is_recorded_and_mailed_once(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    for _ in 0..3 {
        t.release(&asha, id).await.expect(200);
    }
    t.eventually("welcome, confirmation and receipt are sent", || async { t.mails().len() >= 3 }).await;
    let of = async |kind: &str| {
        number(&t, &format!("SELECT COUNT(*) AS n FROM user_activity WHERE kind = '{kind}'")).await
    };
    assert_eq!((of("booking").await, of("release").await), (1, 1));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs").await, 3);
    assert_eq!(t.mails().len(), 3);
}
