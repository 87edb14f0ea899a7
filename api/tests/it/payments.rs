//! Bills: paying them at once or later, verifying and waiving, and what is still owed.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::{
    race::{post_at_once, tally, two_processes},
    support::{has, many_drivers, noon, number, pointers, spots},
};

async fn release(t: &TestApp, who: &Driver, id: i64, payment: Value) -> Answer {
    let mut body = payment;
    body["reservation_id"] = json!(id);
    t.post("/booking/release-spot", Some(who), body).await
}

async fn pay(t: &TestApp, who: &Driver, id: i64, payment: Value) -> Answer {
    t.post(&format!("/reservations/{id}/payment"), Some(who), payment).await
}

/// Parks for less than an hour and leaves without naming a payment.
pub(crate) async fn unpaid(t: &TestApp, who: &Driver, lot: i64) -> i64 {
    let id = t.book(who, lot).await;
    t.release(who, id).await.expect(200);
    id
}

async fn payment(t: &TestApp, who: &Driver, id: i64) -> Value {
    let one = t.get(&format!("/reservations/{id}"), Some(who)).await.expect(200);
    one.body["reservation"]["payment"].clone()
}

/// Case 3.
#[testkit::both_databases]
async fn a_stay_is_paid_by_a_later_release(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = unpaid(&t, &asha, lot).await;
    let nothing = json!({ "state": "unpaid", "method": null, "transaction_id": null, "paid_at": null, "verified": false,
        "waive_reason": null, "refunded_at": null, "refund_reason": null });
    assert_eq!(payment(&t, &asha, id).await, nothing);
    let again = t.release(&asha, id).await.expect(200).body["reservation"]["payment"].clone();
    assert_eq!(again, nothing, "a repetition without a payment pays nothing");
    clock.advance(TimeDelta::minutes(7));
    let named = json!({ "transaction_id": "TXN1", "payment_method": "upi" });
    let paid = release(&t, &asha, id, named.clone()).await.expect(200).body["reservation"].clone();
    has(
        &paid,
        &json!({ "left_at": "2026-11-20T12:00:00Z", "cost": 25.5, "transaction_id": "TXN1", "payment_method": "UPI",
            "payment": { "state": "paid", "method": "UPI", "transaction_id": "TXN1", "paid_at": "2026-11-20T12:07:00Z",
                "verified": false } }),
    );
    let again = release(&t, &asha, id, named).await.expect(200).body["reservation"].clone();
    assert_eq!(again, paid, "the same payment changes nothing");
    release(&t, &asha, id, json!({ "transaction_id": "TXN2" })).await.problem(409, "paid_otherwise");
    release(&t, &asha, id, json!({ "payment_method": "cash" })).await.problem(409, "paid_otherwise");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_stay_is_paid_at_its_own_address(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let running = t.book(&ravi, lot).await;
    let id = unpaid(&t, &asha, lot).await;
    assert_eq!(pointers(&pay(&t, &asha, id, json!({})).await), ["/transaction_id"]);
    let blank = json!({ "transaction_id": " ", "payment_method": "" });
    assert_eq!(pointers(&pay(&t, &asha, id, blank).await), ["/transaction_id"]);
    let long = json!({ "transaction_id": "x".repeat(51) });
    assert_eq!(pointers(&pay(&t, &asha, id, long).await), ["/transaction_id"]);
    pay(&t, &ravi, id, json!({ "payment_method": "cash" })).await.problem(404, "not_found");
    pay(&t, &ravi, running, json!({ "payment_method": "cash" })).await.problem(409, "wrong_state");
    let cash = pay(&t, &asha, id, json!({ "payment_method": "Cash" })).await.expect(200);
    has(
        &cash.body["reservation"]["payment"],
        &json!({ "state": "paid", "method": "Cash", "transaction_id": null }),
    );
    pay(&t, &asha, id, json!({ "payment_method": "CASH" })).await.expect(200);
    pay(&t, &asha, id, json!({ "transaction_id": "T" })).await.problem(409, "paid_otherwise");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_keyed_payment_is_answered_again(t: TestApp) {
    let asha = t.driver("Asha").await;
    let id = unpaid(&t, &asha, t.lot(1).await).await;
    let send = async |body: Value| {
        let request = t.request(reqwest::Method::POST, &format!("/reservations/{id}/payment"), Some(&asha));
        t.send(request.header("idempotency-key", "once").json(&body)).await
    };
    let first = send(json!({ "transaction_id": "T1" })).await.expect(200);
    let second = send(json!({ "transaction_id": "T1" })).await.expect(200);
    assert_eq!((second.headers.contains_key("idempotency-replayed"), second.body), (true, first.body));
    send(json!({ "transaction_id": "T2" })).await.problem(422, "idempotency_key_reused");
}

/// Case 4.
#[testkit::both_databases]
async fn a_transaction_pays_for_one_stay_only(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let named = |id: &str, method: &str| json!({ "transaction_id": id, "payment_method": method });
    let first = t.book(&asha, lot).await;
    release(&t, &asha, first, named("TXN1", "upi")).await.expect(200);
    let second = t.book(&ravi, lot).await;
    for (id, method) in [("TXN1", "upi"), ("TXN1", "QR"), (" TXN1 ", "UPI"), ("TXN1", " qr ")] {
        release(&t, &ravi, second, named(id, method)).await.problem(409, "transaction_used");
    }
    let still = t.get(&format!("/reservations/{second}"), Some(&ravi)).await.expect(200);
    assert_eq!(still.body["reservation"]["state"], "active", "a refused release changes nothing");
    t.release(&ravi, second).await.expect(200);
    pay(&t, &ravi, second, named("TXN1", "UPI")).await.problem(409, "transaction_used");
    assert_eq!(payment(&t, &ravi, second).await["state"], "unpaid");
    pay(&t, &ravi, second, named("TXN1", "card")).await.expect(200);
    let third = t.book(&asha, lot).await;
    release(&t, &asha, third, json!({ "transaction_id": "TXN9" })).await.expect(200);
    let fourth = t.book(&asha, lot).await;
    release(&t, &asha, fourth, json!({ "transaction_id": "TXN9" })).await.problem(409, "transaction_used");
    release(&t, &asha, fourth, named("TXN8", "Bitcoin")).await.expect(200);
    let fifth = t.book(&asha, lot).await;
    release(&t, &asha, fifth, named("TXN8", "bitcoin")).await.problem(409, "transaction_used");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn of_racing_releases_one_uses_the_transaction(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(20).await;
    let mut calls = Vec::new();
    for driver in many_drivers(&t, "driver", 20).await {
        let id = t.book(&driver, lot).await;
        calls.push((
            driver,
            json!({ "reservation_id": id, "transaction_id": "TXN1", "payment_method": "card" }),
        ));
    }
    let answers = post_at_once(&clients, "/booking/release-spot", calls).await;
    let expected = BTreeMap::from([((200, String::new()), 1), ((409, "transaction_used".to_owned()), 19)]);
    assert_eq!(tally(&answers), expected);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE payment_state = 'paid'").await, 1);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn payments_are_declared_until_verified(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(1).await;
    let id = unpaid(&t, &asha, lot).await;
    let verify = async |who: &Driver, id: i64| {
        t.post(&format!("/reservations/{id}/payment/verify"), Some(who), json!({})).await
    };
    verify(&admin, id).await.problem(409, "not_paid");
    pay(&t, &asha, id, json!({ "payment_method": "cash" })).await.expect(200);
    assert_eq!(payment(&t, &asha, id).await["verified"], false);
    verify(&asha, id).await.problem(403, "forbidden");
    verify(&admin, 999_999).await.problem(404, "not_found");
    for _ in 0..2 {
        let verified = verify(&admin, id).await.expect(200);
        assert_eq!(verified.body["reservation"]["payment"]["verified"], true);
    }
    let other = unpaid(&t, &asha, lot).await;
    pay(&t, &admin, other, json!({ "payment_method": "cash" })).await.expect(200);
    assert_eq!(payment(&t, &asha, other).await["verified"], true, "an administrator has seen the money");
    let rows = t.get("/admin/audit", Some(&admin)).await.expect(200).body["rows"].clone();
    has(
        &json!([rows[0], rows[1]]),
        &json!([
            { "action": "payment_entered", "object_kind": "reservation", "object_id": other, "actor_id": admin.id },
            { "action": "payment_verified", "object_kind": "reservation", "object_id": id, "actor_id": admin.id },
        ]),
    );
    t.is_sound().await;
}

#[testkit::both_databases]
async fn waiving_a_bill_takes_a_reason(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    let waive = async |who: &Driver, id: i64, reason: Value| {
        t.post(&format!("/reservations/{id}/waive"), Some(who), json!({ "reason": reason })).await
    };
    waive(&admin, id, json!("broken barrier")).await.problem(409, "wrong_state");
    t.release(&asha, id).await.expect(200);
    waive(&asha, id, json!("I am poor")).await.problem(403, "forbidden");
    for reason in [json!(null), json!(""), json!("  "), json!("x".repeat(501)), json!("a\0b")] {
        assert_eq!(pointers(&waive(&admin, id, reason).await), ["/reason"]);
    }
    for reason in [" broken barrier ", "another reason"] {
        let waived = waive(&admin, id, json!(reason)).await.expect(200);
        has(
            &waived.body["reservation"],
            &json!({ "cost": 25.5, "parking_cost": 25.5,
                "payment": { "state": "waived", "waive_reason": "broken barrier", "paid_at": null } }),
        );
    }
    pay(&t, &asha, id, json!({ "payment_method": "cash" })).await.problem(409, "waived");
    let paid = t.book(&asha, lot).await;
    release(&t, &asha, paid, json!({ "payment_method": "cash" })).await.expect(200);
    waive(&admin, paid, json!("too late")).await.problem(409, "already_paid");
    let rows = t.get("/admin/audit", Some(&admin)).await.expect(200).body["rows"].clone();
    has(
        &rows[0],
        &json!({ "action": "bill_waived", "object_id": id, "actor_id": admin.id, "origin": "127.0.0.1",
            "details": { "amount": 25.5, "reason": "broken barrier" } }),
    );
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_stay_that_cost_nothing_is_paid(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(1).await;
    t.put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": 0 })).await.expect(200);
    let id = unpaid(&t, &asha, lot).await;
    let stored = payment(&t, &asha, id).await;
    assert!(stored["state"] == "paid" && stored["paid_at"].is_string(), "{stored}");
    pay(&t, &asha, id, json!({ "transaction_id": "T1" })).await.problem(409, "nothing_due");
    // An administrator ends the second one, and a deletion the third one.
    let spot = spots(&t, lot).await[0];
    t.book(&asha, lot).await;
    t.put(&format!("/parking-spots/{spot}"), Some(&admin), json!({ "status": "available" }))
        .await
        .expect(200);
    t.book(&asha, lot).await;
    t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE payment_state = 'paid'").await, 3);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn sessions_that_others_end_are_unpaid(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let vacated = t.book(&asha, lot).await;
    let spot = spots(&t, lot).await[0];
    t.put(&format!("/parking-spots/{spot}"), Some(&admin), json!({ "status": "available" }))
        .await
        .expect(200);
    let deleted = t.book(&ravi, lot).await;
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);
    let paid = t.book(&asha, lot).await;
    release(&t, &asha, paid, json!({ "payment_method": "card" })).await.expect(200);
    t.book(&asha, lot).await;

    let listed = async |query: &str| {
        let answer = t.get(&format!("/reservations{query}"), Some(&admin)).await.expect(200);
        let rows = answer.body["reservations"].as_array().unwrap().clone();
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed("?payment=unpaid").await, [vacated, deleted]);
    assert_eq!(listed("?payment=unpaid&limit=1").await, [vacated]);
    assert_eq!(listed("?payment=paid").await, [paid]);
    assert_eq!(listed("?payment=waived").await, [0; 0]);
    assert_eq!(listed("").await.len(), 4);
    for wrong in ["open", "", "PAID"] {
        t.get(&format!("/reservations?payment={wrong}"), Some(&admin)).await.problem(400, "invalid");
    }
    t.is_sound().await;
}

#[testkit::both_databases]
async fn revenue_is_what_was_paid_on_the_day_it_was_paid(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(1).await;
    let first = unpaid(&t, &asha, lot).await;
    let second = unpaid(&t, &asha, lot).await;
    let waived = unpaid(&t, &asha, lot).await;
    let figures = async || {
        let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
        let days: Vec<_> =
            report["daily_revenue"].as_array().unwrap().iter().map(|day| &day["revenue"]).collect();
        let stats = &report["reservation_stats"];
        let amounts = ["total_revenue", "declared_revenue", "verified_revenue", "outstanding"];
        let stats: Vec<_> = amounts.iter().map(|name| stats[*name].as_f64().unwrap()).collect();
        assert_eq!(report["parking_lots"][0]["outstanding"], stats[3]);
        assert_eq!(report["parking_lots"][0]["total_revenue"], stats[0]);
        (stats, json!([days[28], days[29]]), report["payment_distribution"].clone())
    };
    assert_eq!(figures().await, (vec![0.0, 0.0, 0.0, 76.5], json!([0.0, 0.0]), json!([])));
    pay(&t, &asha, first, json!({ "payment_method": "cash" })).await.expect(200);
    let cash = json!([{ "method": "Cash", "count": 1 }]);
    assert_eq!(figures().await, (vec![25.5, 25.5, 0.0, 51.0], json!([0.0, 25.5]), cash));

    clock.advance(TimeDelta::days(1));
    let (admin, asha) = (t.log_in(&admin.email).await, t.log_in(&asha.email).await);
    let figures = async || {
        let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
        let day = |n: usize| report["daily_revenue"][n]["revenue"].as_f64().unwrap();
        (report["reservation_stats"]["outstanding"].as_f64().unwrap(), day(28), day(29))
    };
    pay(&t, &admin, second, json!({ "payment_method": "cash" })).await.expect(200);
    let reason = json!({ "reason": "the barrier was broken" });
    t.post(&format!("/reservations/{waived}/waive"), Some(&admin), reason).await.expect(200);
    assert_eq!(figures().await, (0.0, 25.5, 25.5));
    let month = t.get("/export/monthly-report", Some(&admin)).await.expect(200).body["data"].clone();
    assert_eq!(month["total_revenue"], 51.0, "nobody has paid the waived bill");
    let stats = t.get("/user-reports", Some(&asha)).await.expect(200).body["data"].clone();
    assert_eq!((&stats["stats"]["totalSpent"], &stats["stats"]["outstanding"]), (&json!(76.5), &json!(0.0)));
    assert_eq!(stats["monthlySpending"][11]["amount"], 51.0);
}

#[testkit::both_databases]
async fn unpaid_stays_prevent_new_reservations(t: TestApp) {
    let t = t.second_process(&[("MAX_UNPAID_STAYS", "2")]).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(3).await;
    let all = spots(&t, lot).await;
    let now = t.app.clock.now();
    let window = |spot: i64, hours: i64| {
        let begin = now + TimeDelta::hours(hours);
        json!({ "spot_id": spot, "parking_time": begin, "leaving_time": begin + TimeDelta::hours(1), "user_id": asha.id })
    };
    let first = unpaid(&t, &asha, lot).await;
    t.post("/reservations", Some(&asha), window(all[1], 10)).await.expect(201);
    unpaid(&t, &asha, lot).await;
    let refused = t.post("/reservations", Some(&asha), window(all[1], 20)).await;
    refused.problem(409, "unpaid_stays");
    assert!(refused.body["detail"].as_str().unwrap().contains("2 unpaid stays"), "{}", refused.text);
    t.post("/reservations", Some(&admin), window(all[1], 20)).await.expect(201);
    pay(&t, &asha, first, json!({ "payment_method": "cash" })).await.expect(200);
    t.post("/reservations", Some(&asha), window(all[1], 30)).await.expect(201);
}
