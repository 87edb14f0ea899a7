//! `Idempotency-Key`: one effect, the same answer to every repetition.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::{base::clock::Clock, platform::idempotency};
use testkit::{Answer, Driver, TestApp};

use crate::support::{at_once, noon, number};

async fn keyed(t: &TestApp, who: &Driver, path: &str, key: &str, body: &Value) -> Answer {
    t.send(t.request(Method::POST, path, Some(who)).header("idempotency-key", key).json(body)).await
}

#[testkit::both_databases]
async fn repeated_booking_replays_the_stored_answer(t: TestApp) {
    let (asha, lot) = (t.driver("Asha").await, t.lot(3).await);
    let body = json!({ "lot_id": lot });
    let first = keyed(&t, &asha, "/booking/book-spot", "k1", &body).await.expect(201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let reservation = first.body["reservation"]["id"].as_i64().unwrap();
    t.release(&asha, reservation).await.expect(200);
    // Through the alias, after the release: still the original answer.
    let again = keyed(&t, &asha, "//booking/book-spot", "k1", &body).await.expect(201);
    assert_eq!(again.text, first.text);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 1);
    // Another body, another endpoint, another user, another key.
    keyed(&t, &asha, "/booking/book-spot", "k1", &json!({ "lot_id": lot + 1 }))
        .await
        .problem(422, "idempotency_key_reused");
    keyed(&t, &asha, "/booking/release-spot", "k1", &json!({ "reservation_id": reservation }))
        .await
        .problem(422, "idempotency_key_reused");
    let ravi = t.driver("Ravi").await;
    keyed(&t, &ravi, "/booking/book-spot", "k1", &body).await.expect(201);
    keyed(&t, &asha, "/booking/book-spot", "k2", &body).await.expect(201);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 3);
}

#[testkit::both_databases]
async fn rejected_request_frees_its_key(t: TestApp) {
    let (asha, ravi, lot) = (t.driver("Asha").await, t.driver("Ravi").await, t.lot(1).await);
    let reservation = t.book(&ravi, lot).await;
    let body = json!({ "lot_id": lot });
    keyed(&t, &asha, "/booking/book-spot", "k", &body).await.problem(409, "lot_full");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM idempotency_keys").await, 0);
    t.release(&ravi, reservation).await.expect(200);
    keyed(&t, &asha, "/booking/book-spot", "k", &body).await.expect(201);
    keyed(&t, &asha, "/booking/book-spot", "k", &body).await.expect(201);
}

#[testkit::both_databases]
async fn concurrent_repeats_take_effect_once(t: TestApp) {
    let (asha, lot) = (t.driver("Asha").await, t.lot(50).await);
    let second = t.at(t.app.clock.clone()).await;
    let calls = (0..20).map(|call| {
        let t = if call % 2 == 0 { &t } else { &second };
        let request = t.request(Method::POST, "/export/csv/request", Some(&asha));
        let request = request.header("idempotency-key", "one").json(&json!({ "lot_id": lot }));
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    });
    let answers = at_once(calls).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports").await, 1);
    let mut accepted = answers.iter().filter(|(status, _)| *status == 202).map(|(_, text)| text);
    let first = accepted.next().expect("one was accepted");
    assert!(accepted.all(|text| text == first));
    let rest = answers.iter().filter(|(status, _)| *status != 202);
    assert!(
        rest.clone().all(|(status, text)| *status == 409 && text.contains("request_in_flight")),
        "{answers:?}"
    );
}

#[testkit::both_databases]
async fn keys_last_a_day_and_stale_claims_a_minute(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let ask = async || keyed(&t, &asha, "/export/csv/request", "k", &json!({})).await;
    let first = ask().await.expect(202);
    assert_eq!(first.headers["location"], format!("/api/tasks/{}", first.body["task_id"].as_str().unwrap()));
    clock.advance(TimeDelta::hours(11));
    let again = ask().await.expect(202);
    assert_eq!((&again.text, &again.headers["location"]), (&first.text, &first.headers["location"]));
    clock.advance(idempotency::RETENTION - TimeDelta::hours(11));
    let asha = t.log_in(&asha.email).await;
    let next_day = keyed(&t, &asha, "/export/csv/request", "k", &json!({})).await.expect(202);
    assert_ne!(next_day.body["task_id"], first.body["task_id"]);

    crate::support::change(&t, "UPDATE idempotency_keys SET status = NULL, body = NULL", []).await.unwrap();
    let ask = async || keyed(&t, &asha, "/export/csv/request", "k", &json!({})).await;
    ask().await.problem(409, "request_in_flight");
    clock.advance(TimeDelta::seconds(61));
    ask().await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_length_is_checked() {
    let t = TestApp::start(testkit::Engine::Sqlite).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    for key in ["", &"x".repeat(256)] {
        keyed(&t, &asha, "/booking/book-spot", key, &json!({ "lot_id": lot })).await.problem(400, "invalid");
    }
    keyed(&t, &asha, "/booking/book-spot", &"x".repeat(255), &json!({ "lot_id": lot })).await.expect(201);
}
