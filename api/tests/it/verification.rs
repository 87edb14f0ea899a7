//! Mail addresses are verified by a link.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use shared::{base::clock::Clock, jobs::Job, parking::notifications::SendWelcome};
use testkit::{Driver, Engine, PASSWORD, TestApp};

use crate::{
    password_reset::{context, is_page, mailed_token, reset},
    support::{content, noon, number, seconds, spots},
};

const PATH: &str = "/auth/verify-email";

/// Welcomes the user, without a worker, and returns the token in the mail.
pub(crate) async fn welcome_token(t: &TestApp, user_id: i64) -> Option<String> {
    SendWelcome { user_id }.run(&context(t, user_id)).await.unwrap();
    last_token(t)
}

fn last_token(t: &TestApp) -> Option<String> {
    let text = t.mails().pop().expect("a mail").text;
    let (_, rest) = text.split_once("/api/auth/verify-email?token=")?;
    rest.split_whitespace().next().map(ToOwned::to_owned)
}

async fn is_verified(t: &TestApp, who: &Driver) -> bool {
    let user = t.get("/users/me", Some(who)).await.expect(200);
    user.body["user"]["email_verified"].as_bool().unwrap()
}

#[testkit::both_databases]
async fn the_link_in_the_welcome_mail_verifies_the_address(t: TestApp) {
    let (asha, other) = (t.driver("Asha").await, t.driver("Ravi").await);
    assert!(!is_verified(&t, &asha).await);
    let token = welcome_token(&t, asha.id).await.expect("a link");
    let before = content(&t).await;
    let page = t.get(&format!("{PATH}?token={token}"), None).await;
    is_page(&page, 200, "<form method=\"post\" action=\"verify-email\">");
    assert_eq!(content(&t).await, before, "a GET changes nothing, as link scanners open links");
    reset(&t, &token, "tarmac lemon violin").await.problem(410, "gone");

    let kind = "application/x-www-form-urlencoded";
    let click = async || {
        let request = t.request(Method::POST, PATH, None).header("content-type", kind);
        t.send(request.body(format!("token={token}"))).await
    };
    is_page(&click().await, 200, "Your address is verified");
    assert!(is_verified(&t, &asha).await && !is_verified(&t, &other).await);
    is_page(&click().await, 410, "This link no longer works");
    is_page(&t.get(&format!("{PATH}?token={token}"), None).await, 410, "This link no longer works");
}

#[testkit::both_databases]
async fn staff_and_accounts_made_by_admins_are_verified(t: TestApp) {
    let admin = t.admin().await;
    assert!(is_verified(&t, &admin).await);
    let form = json!({ "username": "Asha", "email": "asha@example.com", "password": PASSWORD });
    let made = t.post("/users", Some(&admin), form).await.expect(201);
    assert_eq!(made.body["user"]["email_verified"], true);
    assert_eq!(welcome_token(&t, made.body["user"]["id"].as_i64().unwrap()).await, None);
    let change = json!({ "email": "new@example.com" });
    let path = format!("/users/{}", made.body["user"]["id"]);
    let changed = t.put(&path, Some(&admin), change).await.expect(200);
    assert_eq!(changed.body["user"]["email_verified"], true);
}

#[testkit::both_databases]
async fn a_new_address_is_verified_by_its_own_link(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let old = welcome_token(&t, asha.id).await.unwrap();
    let proof = mailed_token(&t, asha.id).await;
    t.post("/auth/reset-password", None, json!({ "token": proof, "password": PASSWORD })).await.expect(200);
    let asha = t.log_in(&asha.email).await;
    assert!(is_verified(&t, &asha).await, "a new password by mail verifies the address, too");

    let change = json!({ "email": "new@example.com", "current_password": PASSWORD });
    let changed = t.put("/users/me", Some(&asha), change).await.expect(200);
    assert_eq!(changed.body["user"]["pending_email"], "new@example.com");
    t.post(PATH, None, json!({ "token": old })).await.problem(410, "gone");
    let worker = t.work();
    t.eventually("the link is mailed", async || {
        t.mails().iter().any(|mail| mail.subject == "Please confirm your email address")
    })
    .await;
    worker.stop().await;
    let mail = t.mails().into_iter().find(|mail| mail.subject.starts_with("Please confirm")).unwrap();
    assert_eq!(mail.to_address, "new@example.com");
    let (_, token) = mail.text.split_once("verify-email?token=").unwrap();
    let token = json!({ "token": token.split_whitespace().next() });
    clock.advance(TimeDelta::days(7) - TimeDelta::microseconds(1));
    t.post(PATH, None, token).await.expect(200);
    let asha = t.log_in("new@example.com").await;
    assert!(is_verified(&t, &asha).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn unverified_drivers_reserve_nothing_if_that_is_required() {
    let t = TestApp::start_with(Engine::Sqlite, &[("REQUIRE_VERIFIED_EMAIL", "true")]).await;
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(2).await);
    let spot = spots(&t, lot).await[0];
    let window = json!({ "spot_id": spot, "parking_time": noon(), "leaving_time": noon() + seconds(3600) });
    t.post("/reservations", Some(&asha), window.clone()).await.problem(409, "email_not_verified");
    t.book(&asha, lot).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 1, "walk-ins may park");
    let token = welcome_token(&t, asha.id).await;
    t.post(PATH, None, json!({ "token": token })).await.expect(200);
    let reserved = t.post("/reservations", Some(&asha), window).await;
    assert_ne!(reserved.body["code"], "email_not_verified");
}
