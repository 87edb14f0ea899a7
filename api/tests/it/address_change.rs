//! A new mail address counts once it is verified, and the old one can be restored.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, Engine, PASSWORD, TestApp, Working};

use crate::{
    password_reset::is_page,
    support::{change, content, noon, number},
};

const VERIFY: &str = "/auth/verify-email";
const UNDO: &str = "/auth/undo-email-change";
const OLD: &str = "asha@example.com";

/// A driver with a verified address, and a worker that sends mails.
async fn verified(t: &TestApp) -> (Driver, Working) {
    let asha = t.driver("Asha").await;
    change(t, "UPDATE users SET email_verified = TRUE", []).await.unwrap();
    (asha, t.work())
}

async fn login(t: &TestApp, email: &str, password: &str) -> u16 {
    t.post("/auth/login", None, json!({ "email": email, "password": password })).await.status.as_u16()
}

/// Asks for a new address, and returns the user as the answer shows it.
async fn ask(t: &TestApp, who: &Driver, password: &str, new: &str) -> Value {
    let body = json!({ "email": new, "current_password": password });
    t.put("/users/me", Some(who), body).await.expect(200).body["user"].clone()
}

/// The token in the mail to this address that has a link to this path.
async fn token(t: &TestApp, to: &str, path: &str) -> String {
    let find = || {
        let mails = t.mails().into_iter().rev().filter(|mail| mail.to_address == to);
        let links: Vec<String> = mails
            .filter_map(|mail| Some(mail.text.split_once(&format!("/api{path}?token="))?.1.to_owned()))
            .collect();
        links.first().and_then(|rest| rest.split_whitespace().next().map(ToOwned::to_owned))
    };
    t.eventually("the link is mailed", async || find().is_some()).await;
    find().unwrap()
}

/// Changes the address of the user and verifies the new one.
async fn move_to(t: &TestApp, who: &Driver, password: &str, new: &str) {
    ask(t, who, password, new).await;
    let proof = token(t, new, VERIFY).await;
    t.post(VERIFY, None, json!({ "token": proof })).await.expect(200);
}

#[testkit::both_databases]
async fn a_new_address_counts_once_it_is_verified(t: TestApp) {
    let (asha, worker) = verified(&t).await;
    let user = ask(&t, &asha, PASSWORD, " New@Example.com").await;
    assert_eq!((&user["email"], &user["pending_email"]), (&json!(OLD), &json!("new@example.com")));
    assert_eq!((login(&t, "new@example.com", PASSWORD).await, login(&t, OLD, PASSWORD).await), (401, 200));
    let proof = token(&t, "new@example.com", VERIFY).await;
    // As the old client does, whose form sends every field back.
    let form =
        json!({ "id": asha.id, "username": "Asha R.", "email": OLD, "role": "user", "phone_number": "" });
    let form = t.put("/users/me", Some(&asha), form).await.expect(200);
    assert_eq!(form.body["user"]["pending_email"], "new@example.com");
    t.post(VERIFY, None, json!({ "token": proof })).await.expect(200);
    let user = t.get("/users/me", Some(&asha)).await.expect(200).body["user"].clone();
    assert_eq!((&user["email"], &user["pending_email"]), (&json!("new@example.com"), &json!(null)));
    assert_eq!((login(&t, "new@example.com", PASSWORD).await, login(&t, OLD, PASSWORD).await), (200, 401));
    worker.stop().await;
}

#[testkit::both_databases]
async fn the_old_address_can_undo_a_change_once(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, worker) = verified(&t).await;
    move_to(&t, &asha, PASSWORD, "new@example.com").await;
    let undo = token(&t, OLD, UNDO).await;
    worker.stop().await;
    let before = content(&t).await;
    let page = t.get(&format!("{UNDO}?token={undo}"), None).await;
    is_page(&page, 200, "<form method=\"post\" action=\"undo-email-change\">");
    t.post(VERIFY, None, json!({ "token": undo })).await.problem(410, "gone");
    assert_eq!(content(&t).await, before, "a GET changes nothing, as link scanners open links");

    clock.advance(TimeDelta::hours(72) - TimeDelta::microseconds(1));
    let asha = t.log_in("new@example.com").await;
    let click = async || {
        let request = t.request(Method::POST, UNDO, None);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        t.send(request.body(format!("token={undo}"))).await
    };
    is_page(&click().await, 200, "Your address is restored");
    t.get("/users/me", Some(&asha)).await.problem(401, "unauthenticated");
    assert_eq!((login(&t, "new@example.com", PASSWORD).await, login(&t, OLD, PASSWORD).await), (401, 200));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-password-reset'").await, 1);
    is_page(&click().await, 410, "This link no longer works");
}

#[testkit::both_databases]
async fn a_thief_cannot_void_the_way_back(t: TestApp) {
    let (asha, worker) = verified(&t).await;
    move_to(&t, &asha, PASSWORD, "thief@example.com").await;
    let undo = token(&t, OLD, UNDO).await;
    let body = json!({ "password": "Another-horse-1", "current_password": PASSWORD });
    t.put("/users/me", Some(&asha), body).await.expect(200);
    move_to(&t, &asha, "Another-horse-1", "thief2@example.com").await;
    let of_thief = token(&t, "thief@example.com", UNDO).await;
    t.post(UNDO, None, json!({ "token": of_thief })).await.expect(200);
    let form = json!({ "username": "Thief", "email": OLD, "password": PASSWORD });
    t.post("/auth/register", None, form).await.problem(409, "email_taken");
    t.post(UNDO, None, json!({ "token": undo })).await.expect(200);
    assert_eq!(login(&t, OLD, "Another-horse-1").await, 200);
    worker.stop().await;
}

#[testkit::both_databases]
async fn an_address_that_was_never_verified_is_not_told(t: TestApp) {
    let (asha, worker) = (t.driver("Asha").await, t.work());
    move_to(&t, &asha, PASSWORD, "new@example.com").await;
    worker.stop().await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-address-changed'").await, 0);
}

#[testkit::both_databases]
async fn a_link_for_another_address_is_void(t: TestApp) {
    let (asha, worker) = verified(&t).await;
    let ravi = t.driver("Ravi").await;
    ask(&t, &asha, PASSWORD, "one@example.com").await;
    let one = token(&t, "one@example.com", VERIFY).await;
    ask(&t, &asha, PASSWORD, "two@example.com").await;
    t.post(VERIFY, None, json!({ "token": one })).await.problem(410, "gone");
    let two = token(&t, "two@example.com", VERIFY).await;
    // Whoever verifies an address first has it.
    ask(&t, &ravi, PASSWORD, "two@example.com").await;
    t.eventually("another link is mailed", async || token(&t, "two@example.com", VERIFY).await != two).await;
    let of_ravi = token(&t, "two@example.com", VERIFY).await;
    t.post(VERIFY, None, json!({ "token": of_ravi })).await.expect(200);
    t.post(VERIFY, None, json!({ "token": two })).await.problem(409, "email_taken");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verification_mail_can_be_sent_again() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RATE_LIMIT_PASSWORD_RESET", "2/3600")]).await;
    let asha = t.driver("Asha").await;
    let resend = async || t.post("/auth/resend-verification", Some(&asha), json!({})).await;
    resend().await.expect(200);
    resend().await.expect(200);
    resend().await.problem(429, "rate_limited");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-verification'").await, 2);
    change(&t, "UPDATE users SET email_verified = TRUE", []).await.unwrap();
    resend().await.problem(409, "already_verified");
}

#[testkit::both_databases]
async fn all_other_sessions_end_at_once(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let (laptop, phone) = (t.log_in(&asha.email).await, t.log_in(&asha.email).await);
    t.delete("/auth/sessions", Some(&laptop)).await.expect(200);
    for ended in [&asha, &phone] {
        t.get("/users/me", Some(ended)).await.problem(401, "unauthenticated");
    }
    for open in [&laptop, &ravi, &admin] {
        t.get("/users/me", Some(open)).await.expect(200);
    }
    t.delete(&format!("/users/{}/sessions", asha.id), Some(&admin)).await.expect(200);
    t.get("/users/me", Some(&laptop)).await.problem(401, "unauthenticated");
    t.get("/users/me", Some(&ravi)).await.expect(200);
    let audited = "SELECT COUNT(*) AS n FROM audit WHERE action = 'sessions_ended'";
    assert_eq!(number(&t, audited).await, 1);
    t.delete("/users/999999/sessions", Some(&admin)).await.problem(404, "not_found");
}
