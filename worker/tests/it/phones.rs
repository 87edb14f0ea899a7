//! Proving a phone number with a code by SMS.

use chrono::TimeDelta;
use devstack::HttpSink;
use serde_json::json;
use shared::{base::clock::Clock, parking::phone_codes};
use testkit::{Driver, Engine, PASSWORD, change, together};
use uuid::Uuid;

use crate::{notices::with_sms, support::number};

/// The code in the latest SMS.
fn code(twilio: &HttpSink) -> String {
    let body = twilio.requests().pop().unwrap().body.replace('+', " ").replace("%20", " ");
    body.split("your code is ").nth(1).expect("a code").chars().take(6).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_verified_by_a_code_and_only_then_gets_sms() {
    together(async |engine| {
        let (t, twilio) = with_sms(engine).await;
        let (asha, lot) = (t.driver("Asha").await, t.lot(3).await);
        let me = format!("/users/{}", asha.id);
        let set = async |phone: &str| {
            let form = json!({ "phone_number": phone, "current_password": PASSWORD });
            t.put(&me, Some(&asha), form).await.expect(200).body["user"]["phone_verified"].clone()
        };
        let request = async || t.post("/users/me/phone/verification", Some(&asha), json!({})).await;
        let confirm = async |code: &str| {
            t.post("/users/me/phone/verification/confirm", Some(&asha), json!({ "code": code })).await
        };
        request().await.problem(409, "no_phone_number");
        assert_eq!(set("+91 98765 43210").await, false);
        confirm("123456").await.problem(409, "no_code");
        let worker = t.work();
        let reservation = t.book(&asha, lot).await;
        t.eventually("the SMS of the booking is skipped", async || {
            let text = format!(
                "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-sms' AND unique_key = '{reservation}'
                    AND state = 'succeeded' AND result LIKE '%no verified phone number%'"
            );
            number(&t, &text).await == 1
        })
        .await;
        assert_eq!(twilio.requests().len(), 0);

        request().await.expect(200);
        t.eventually("the code is sent", async || twilio.requests().len() == 1).await;
        let first = code(&twilio);
        assert!(
            twilio.requests()[0].body.starts_with("To=%2B919876543210&"),
            "{}",
            twilio.requests()[0].body
        );
        assert_eq!(
            number(&t, &format!("SELECT COUNT(*) AS n FROM phone_codes WHERE hash LIKE '%{first}%'")).await,
            0
        );
        let wrong = if first == "000000" { "111111" } else { "000000" };
        for left in
            ["4 attempts left", "3 attempts left", "2 attempts left", "1 attempt left", "request another one"]
        {
            let answer = confirm(wrong).await.expect(400);
            assert!(answer.text.contains(left), "{left}: {}", answer.text);
        }
        confirm(&first).await.problem(409, "too_many_tries");
        request().await.expect(200);
        t.eventually("another code is sent", async || twilio.requests().len() == 2).await;
        let second = code(&twilio);
        confirm(&second).await.expect(200);
        assert_eq!(t.get(&me, Some(&asha)).await.body["user"]["phone_verified"], true);
        request().await.problem(409, "already_verified");
        confirm(&second).await.problem(409, "already_verified");

        t.release(&asha, reservation).await.expect(200);
        t.book(&asha, lot).await;
        t.eventually("the booking is confirmed by SMS", async || twilio.requests().len() == 3).await;
        assert_eq!(set("+919876543210").await, true, "another spelling of the same number");
        assert_eq!(set("+919876543211").await, false);
        confirm(&second).await.problem(409, "no_code");
        worker.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_expire_and_are_limited_by_account_and_address() {
    let (t, _twilio) = with_sms(Engine::Sqlite).await;
    let clock = Clock::fixed(Clock::System.now());
    let t = t.at(clock.clone()).await;
    let t = t.second_process(&[("RATE_LIMIT_PHONE_CODE", "2/3600")]).await;
    let asha = t.driver("Asha").await;
    let phone = |n: i64| format!("+91987654321{n}");
    let text = "UPDATE users SET phone_number = $2 WHERE id = $1";
    change(&t, text, [asha.id.into(), phone(0).into()]).await.unwrap();
    let code = phone_codes::issue(&t.app, Uuid::new_v4(), asha.id, &phone(0)).await.unwrap();
    clock.advance(TimeDelta::minutes(10));
    let confirm = json!({ "code": code });
    t.post("/users/me/phone/verification/confirm", Some(&asha), confirm).await.problem(409, "no_code");
    let request = async |who: &Driver| t.post("/users/me/phone/verification", Some(who), json!({})).await;
    for status in [200, 200, 429] {
        assert_eq!(request(&asha).await.status, status);
    }
    // Another account at the same address.
    let ravi = t.driver("Ravi").await;
    change(&t, text, [ravi.id.into(), phone(1).into()]).await.unwrap();
    request(&ravi).await.problem(429, "rate_limited");
}
