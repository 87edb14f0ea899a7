//! Second factors: turning one on, logging in with it, and confirming what does most harm.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, Engine, PASSWORD, TestApp};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::{
    payments::unpaid,
    support::{noon, number},
};

const FACTOR: &str = "/auth/second-factor";

/// A user with a second factor, and their authenticator app.
pub(crate) struct Enrolled {
    pub(crate) who: Driver,
    app: TOTP,
    recovery: Vec<String>,
}

impl Enrolled {
    pub(crate) fn code(&self, t: &TestApp) -> String {
        self.app.generate(t.app.clock.now().timestamp().unsigned_abs())
    }
}

pub(crate) async fn enrol(t: &TestApp, clock: &Clock, who: Driver) -> Enrolled {
    let begun = t.post(FACTOR, Some(&who), json!({ "current_password": PASSWORD })).await.expect(200).body;
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["url"].as_str().unwrap().contains(&secret));
    let secret = Secret::Encoded(secret).to_bytes().unwrap();
    let app = TOTP::new(Algorithm::SHA1, 6, 1, 30, secret).unwrap();
    let mut enrolled = Enrolled { who, app, recovery: Vec::new() };
    let body = json!({ "code": enrolled.code(t) });
    let on = t.post(&format!("{FACTOR}/confirm"), Some(&enrolled.who), body).await.expect(200).body;
    enrolled.recovery = on["recovery_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    // The code of this step was used.
    clock.advance(TimeDelta::seconds(30));
    enrolled
}

async fn log_in(t: &TestApp, email: &str, code: Option<&str>) -> Answer {
    let mut body = json!({ "email": email, "password": PASSWORD });
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    t.post("/auth/login", None, body).await
}

pub(crate) async fn with_clock(t: TestApp) -> (TestApp, Clock) {
    let clock = Clock::fixed(noon());
    (t.at(clock.clone()).await, clock)
}

#[testkit::both_databases]
async fn logins_with_a_second_factor_need_a_fresh_code(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let asha = t.driver("Asha").await;
    t.post(FACTOR, Some(&asha), json!({ "current_password": "wrong" }))
        .await
        .problem(403, "wrong_current_password");
    let asha = enrol(&t, &clock, asha).await;
    let email = &asha.who.email;
    log_in(&t, email, None).await.problem(403, "second_factor_required");
    log_in(&t, email, Some("000000")).await.problem(403, "wrong_code");
    let code = asha.code(&t);
    log_in(&t, email, Some(&code)).await.expect(200);
    log_in(&t, email, Some(&code)).await.problem(403, "wrong_code");
    clock.advance(TimeDelta::seconds(30));
    log_in(&t, email, Some(&code)).await.problem(403, "wrong_code");
    log_in(&t, email, Some(&asha.code(&t))).await.expect(200);
    let wrong = json!({ "email": email, "password": "Wrong-horse-1", "code": asha.code(&t) });
    t.post("/auth/login", None, wrong).await.problem(401, "invalid_credentials");
    let ravi = t.driver("Ravi").await;
    log_in(&t, &ravi.email, None).await.expect(200);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM audit WHERE action = 'second_factor_on'").await, 1);
}

#[testkit::both_databases]
async fn each_recovery_code_works_once(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let asha = t.driver("Asha").await;
    let asha = enrol(&t, &clock, asha).await;
    assert_eq!(asha.recovery.len(), 10);
    let typed = asha.recovery[3].to_uppercase().replace('-', " ");
    log_in(&t, &asha.who.email, Some(&typed)).await.expect(200);
    log_in(&t, &asha.who.email, Some(&asha.recovery[3])).await.problem(403, "wrong_code");
    let status = t.get(FACTOR, Some(&asha.who)).await.expect(200).body;
    assert_eq!((&status["enabled"], &status["recovery_codes_left"]), (&json!(true), &json!(9)));
    let clear =
        format!("SELECT COUNT(*) AS n FROM recovery_codes WHERE hash LIKE '%{}%'", &asha.recovery[0][..4]);
    assert_eq!(number(&t, &clear).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_wrong_codes_are_allowed() {
    let (t, clock) = with_clock(TestApp::start(Engine::Sqlite).await).await;
    let asha = t.driver("Asha").await;
    let asha = enrol(&t, &clock, asha).await;
    for _ in 0..5 {
        log_in(&t, &asha.who.email, Some("000000")).await.problem(403, "wrong_code");
    }
    log_in(&t, &asha.who.email, Some(&asha.code(&t))).await.problem(429, "rate_limited");
    let body = json!({ "code": asha.code(&t) });
    t.post(&format!("{FACTOR}/verify"), Some(&asha.who), body).await.problem(429, "rate_limited");
}

#[testkit::both_databases]
async fn what_does_most_harm_needs_a_fresh_code(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(2).await);
    let stay = unpaid(&t, &asha, lot).await;
    let paid = unpaid(&t, &ravi, lot).await;
    let payment = json!({ "transaction_id": "UPI-1" });
    t.post(&format!("/reservations/{paid}/payment"), Some(&ravi), payment).await.expect(200);
    let boss = enrol(&t, &clock, admin).await;
    let new = json!({ "username": "New", "email": "new@example.com", "password": PASSWORD, "role": "admin" });
    let calls = [
        (Method::PUT, format!("/users/{}", asha.id), json!({ "role": "admin" })),
        (Method::PUT, format!("/users/{}", asha.id), json!({ "password": "Another-horse-1" })),
        (Method::POST, "/users".to_owned(), new),
        (Method::POST, format!("/reservations/{stay}/waive"), json!({ "reason": "broken barrier" })),
        (Method::POST, format!("/reservations/{paid}/refund"), json!({ "reason": "broken barrier" })),
        (Method::POST, "/export/csv/request".to_owned(), json!({ "scope": "all" })),
        (Method::DELETE, format!("/users/{}", ravi.id), json!({})),
        (Method::DELETE, FACTOR.to_owned(), json!({})),
    ];
    let send = async |(method, path, body): &(Method, String, Value)| {
        t.send(t.request(method.clone(), path, Some(&boss.who)).json(body)).await
    };
    for call in &calls {
        send(call).await.problem(403, "second_factor_required");
    }
    let harmless = json!({ "username": "Asha R." });
    t.put(&format!("/users/{}", asha.id), Some(&boss.who), harmless).await.expect(200);
    let verify = format!("{FACTOR}/verify");
    t.post(&verify, Some(&boss.who), json!({ "code": boss.code(&t) })).await.expect(200);
    clock.advance(TimeDelta::minutes(5));
    send(&calls[0]).await.problem(403, "second_factor_required");
    t.post(&verify, Some(&boss.who), json!({ "code": boss.code(&t) })).await.expect(200);
    for call in &calls {
        assert!(send(call).await.status.is_success(), "{} {}", call.0, call.1);
    }
    t.post(&verify, Some(&boss.who), json!({ "code": "1" })).await.problem(409, "second_factor_off");
}

#[testkit::both_databases]
async fn an_administrator_helps_whoever_lost_a_device(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let asha = enrol(&t, &clock, asha).await;
    let path = format!("/users/{}/second-factor", asha.who.id);
    t.delete(&path, Some(&asha.who)).await.problem(403, "forbidden");
    t.delete(&path, Some(&admin)).await.expect(200);
    t.delete(&path, Some(&admin)).await.problem(404, "not_found");
    log_in(&t, &asha.who.email, None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_may_have_to_have_a_second_factor() {
    let t =
        TestApp::start_with(Engine::Sqlite, &[("REQUIRE_ADMIN_TOTP", "true"), ("CACHE_ENABLED", "false")])
            .await;
    let (t, clock) = with_clock(t).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    t.get("/users", Some(&admin)).await.problem(403, "second_factor_missing");
    t.get(&format!("/users/{}", asha.id), Some(&admin)).await.problem(403, "forbidden");
    t.get("/users/me", Some(&admin)).await.expect(200);
    t.get("/users", Some(&asha)).await.problem(403, "forbidden");
    let boss = enrol(&t, &clock, admin).await;
    t.get("/users", Some(&boss.who)).await.expect(200);
}
