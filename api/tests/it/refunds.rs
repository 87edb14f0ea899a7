//! Refunds of paid stays, and what the reports say about them.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::{
    payments::unpaid,
    support::{has, noon, number, pointers},
};

async fn refund(t: &TestApp, who: &Driver, id: i64) -> Answer {
    t.post(&format!("/reservations/{id}/refund"), Some(who), json!({ "reason": " flooded " })).await
}

async fn paid(t: &TestApp, driver: &Driver, lot: i64) -> i64 {
    let id = unpaid(t, driver, lot).await;
    let cash = json!({ "payment_method": "cash" });
    t.post(&format!("/reservations/{id}/payment"), Some(driver), cash).await.expect(200);
    id
}

#[testkit::both_databases]
async fn a_paid_stay_is_refunded_once(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let owed = unpaid(&t, &asha, lot).await;
    refund(&t, &admin, owed).await.problem(409, "not_paid");
    let id = paid(&t, &asha, lot).await;
    let path = format!("/reservations/{id}/refund");
    assert_eq!(pointers(&t.post(&path, Some(&admin), json!({ "reason": " " })).await), ["/reason"]);
    refund(&t, &asha, id).await.problem(403, "forbidden");
    let send = async || {
        let request = t.request(reqwest::Method::POST, &path, Some(&admin)).header("idempotency-key", "r1");
        t.send(request.json(&json!({ "reason": "flooded" }))).await
    };
    let first = send().await.expect(200);
    has(
        &first.body["reservation"]["payment"],
        &json!({ "state": "refunded", "refund_reason": "flooded", "refunded_at": "2026-11-20T12:00:00Z", "method": "Cash" }),
    );
    assert_eq!(send().await.expect(200).body, first.body);
    refund(&t, &admin, id).await.problem(409, "already_refunded");
    let pay = format!("/reservations/{id}/payment");
    t.post(&pay, Some(&asha), json!({ "payment_method": "card" })).await.problem(409, "refunded");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM audit WHERE action = 'payment_refunded'").await, 1);
    let mail = format!("SELECT COUNT(*) AS n FROM jobs WHERE unique_key = '{id}:refunded'");
    assert_eq!(number(&t, &mail).await, 1);

    t.put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": 0 })).await.expect(200);
    let free = unpaid(&t, &asha, lot).await;
    refund(&t, &admin, free).await.problem(409, "nothing_due");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_refund_reduces_the_revenue_of_its_own_day(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let id = paid(&t, &asha, lot).await;
    clock.advance(TimeDelta::days(1));
    let (admin, asha) = (t.admin().await, t.log_in(&asha.email).await);
    let kept = paid(&t, &asha, lot).await;
    let verify = format!("/reservations/{kept}/payment/verify");
    t.post(&verify, Some(&admin), json!({})).await.expect(200);
    refund(&t, &admin, id).await.expect(200);
    // And one that is paid and refunded on the same day.
    let second = paid(&t, &asha, lot).await;
    refund(&t, &admin, second).await.expect(200);

    let report = t.get("/reports", Some(&admin)).await.expect(200).body["data"].clone();
    has(
        &report["reservation_stats"],
        &json!({ "total_revenue": 25.5, "verified_revenue": 25.5, "declared_revenue": 0.0, "refunded": 51.0, "outstanding": 0.0 }),
    );
    let days: Vec<Value> = report["daily_revenue"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .take(3)
        .map(|day| day["revenue"].clone())
        .collect();
    assert_eq!(days, [json!(0.0), json!(25.5), json!(0.0)]);
    has(&report["parking_lots"][0], &json!({ "total_revenue": 25.5 }));
    let month = t.get("/export/monthly-report", Some(&admin)).await.expect(200).body["data"].clone();
    has(&month, &json!({ "total_revenue": 25.5 }));
    assert_eq!(report["payment_distribution"], json!([{ "method": "Cash", "count": 3 }]));
    let own = t.get("/user-reports", Some(&asha)).await.expect(200).text;
    assert!(own.contains("76.5"), "what was billed stays: {own}");
    t.is_sound().await;
}
