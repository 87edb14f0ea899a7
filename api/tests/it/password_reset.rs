//! A new password by a link in a mail.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use shared::{
    base::clock::Clock,
    jobs::{Context, Job, Progress},
    parking::notifications::SendPasswordReset,
};
use testkit::{Answer, Driver, Engine, PASSWORD, TestApp};
use uuid::Uuid;

use crate::support::{at_once, content, noon, number, pointers};

const NEW: &str = "tarmac lemon violin";

const PATH: &str = "/auth/reset-password";

/// Mails a link to the user, without a worker, and returns its token.
pub(crate) async fn mailed_token(t: &TestApp, user_id: i64) -> String {
    let job = SendPasswordReset { user_id: Some(user_id), requested_at: t.app.clock.now() };
    job.run(&context(t, user_id)).await.unwrap();
    token(t)
}

/// For running a job without a worker.
pub(crate) fn context(t: &TestApp, user_id: i64) -> Context {
    Context {
        app: t.app.clone(),
        id: Uuid::now_v7(),
        owner_id: Some(user_id),
        attempt: 1,
        progress: Progress::default(),
    }
}

/// The token in the last mail.
fn token(t: &TestApp) -> String {
    let text = t.mails().pop().expect("a mail").text;
    let (_, rest) = text.split_once("/api/auth/reset-password?token=").expect("a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

pub(crate) async fn reset(t: &TestApp, token: &str, password: &str) -> Answer {
    t.post(PATH, None, json!({ "token": token, "password": password })).await
}

/// What a browser sends for the form of the page.
async fn submit(t: &TestApp, token: &str, password: &str) -> Answer {
    let body = format!("token={token}&password={}", password.replace(' ', "+"));
    let kind = "application/x-www-form-urlencoded";
    t.send(t.request(Method::POST, PATH, None).header("content-type", kind).body(body)).await
}

pub(crate) fn is_page(answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.text.contains(says), "{}", answer.text);
    for (name, part) in [
        ("content-security-policy", "default-src 'none'; script-src 'self'; style-src 'self'; "),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert!(answer.headers[name].to_str().unwrap().contains(part), "{name}");
    }
    assert!(!answer.text.contains("<style") && !answer.text.contains(" style="), "{}", answer.text);
}

async fn log_in(t: &TestApp, who: &Driver, password: &str) -> u16 {
    t.post("/auth/login", None, json!({ "email": who.email, "password": password })).await.status.as_u16()
}

#[testkit::both_databases]
async fn a_mailed_link_sets_a_new_password_once(t: TestApp) {
    let asha = t.driver("Asha").await;
    let laptop = t.log_in(&asha.email).await;
    let worker = t.work();
    t.post("/auth/forgot-password", None, json!({ "email": " ASHA@Example.com" })).await.expect(202);
    let has_mail = |subject: &str| t.mails().iter().any(|mail| mail.subject.contains(subject));
    t.eventually("the link is mailed", async || has_mail("Set a new password")).await;
    let link = t.mails().into_iter().find(|mail| mail.subject.contains("Set a new password")).unwrap();
    assert_eq!(link.to_address, asha.email);
    t.eventually("nothing is left to do", async || {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'").await == 0
    })
    .await;
    let (_, token) = link.text.split_once("?token=").unwrap();
    let token = token.split_whitespace().next().unwrap();
    assert!(link.html.contains(token) && token.len() == 64);

    let before = content(&t).await;
    let page = t.get(&format!("{PATH}?token={token}"), None).await;
    is_page(&page, 200, "<form method=\"post\" action=\"reset-password\">");
    assert!(page.text.contains(&format!("name=\"token\" value=\"{token}\"")));
    assert_eq!(content(&t).await, before, "a GET changes nothing, as link scanners open links");

    is_page(&submit(&t, token, NEW).await, 200, "Your password is set");
    assert_eq!((log_in(&t, &asha, PASSWORD).await, log_in(&t, &asha, NEW).await), (401, 200));
    for who in [&asha, &laptop] {
        t.get("/auth/sessions", Some(who)).await.problem(401, "unauthenticated");
    }
    is_page(&submit(&t, token, "another tarmac lemon").await, 410, "This link no longer works");
    is_page(&t.get(&format!("{PATH}?token={token}"), None).await, 410, "This link no longer works");
    reset(&t, token, "another tarmac lemon").await.problem(410, "gone");
    assert_eq!(log_in(&t, &asha, NEW).await, 200);
    t.eventually("the user is told", async || has_mail("Your password for Parkade was changed")).await;
    worker.stop().await;
    let everything = content(&t).await.join("\n");
    assert!(!everything.contains(token) && !everything.contains(NEW), "only hashes are stored");
}

#[testkit::both_databases]
async fn unknown_addresses_get_the_answer_of_known_ones(t: TestApp) {
    let asha = t.driver("Asha").await;
    let worker = t.work();
    t.eventually("Asha is welcomed", async || t.mails().len() == 1).await;
    let mut answers = Vec::new();
    for email in [&*asha.email, "nobody@example.com", "", "a\u{0}b@example.com", "not an address"] {
        let answer = t.post("/auth/forgot-password", None, json!({ "email": email })).await.expect(202);
        let headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        answers.push((answer.text, headers));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let jobs = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-password-reset'";
    assert_eq!(number(&t, jobs).await, 5, "the same rows are written");
    t.eventually("the jobs have run", async || {
        number(&t, &format!("{jobs} AND state = 'succeeded'")).await == 5
    })
    .await;
    assert_eq!(t.mails().len(), 2, "one welcome, one link");
    worker.stop().await;
    t.is_sound().await;
}

#[testkit::both_databases]
async fn reset_links_expire_after_half_an_hour(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let token = mailed_token(&t, asha.id).await;
    clock.advance(TimeDelta::minutes(30) - TimeDelta::microseconds(1));
    t.get(&format!("{PATH}?token={token}"), None).await.expect(200);
    clock.advance(TimeDelta::microseconds(1));
    reset(&t, &token, NEW).await.problem(410, "gone");
    assert_eq!(log_in(&t, &asha, PASSWORD).await, 200);
}

#[testkit::both_databases]
async fn weak_passwords_leave_the_reset_link_valid(t: TestApp) {
    let asha = t.driver("Asha Miller").await;
    let token = mailed_token(&t, asha.id).await;
    for weak in ["short", "ashamiller1", "password"] {
        assert_eq!(pointers(&reset(&t, &token, weak).await), ["/password"], "{weak}");
        is_page(&submit(&t, &token, weak).await, 400, "name=\"password\"");
    }
    reset(&t, &token, NEW).await.expect(200);
}

#[testkit::both_databases]
async fn invalid_reset_tokens_change_nothing(t: TestApp) {
    let asha = t.driver("Asha").await;
    let token = mailed_token(&t, asha.id).await;
    let before = content(&t).await;
    let forged =
        ["", "x", "\"><script>", &token[1..], &token.to_uppercase(), &format!("{token}0"), &"0".repeat(64)];
    for forged in forged {
        reset(&t, forged, NEW).await.problem(410, "gone");
        let page = t.get(&format!("{PATH}?token={}", forged.replace(['"', '<', '>'], "%22")), None).await;
        is_page(&page, 410, "This link no longer works");
    }
    t.get(PATH, None).await.problem(400, "invalid");
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn concurrent_uses_of_a_reset_link_have_one_winner(t: TestApp) {
    let asha = t.driver("Asha").await;
    let token = mailed_token(&t, asha.id).await;
    let calls = (0..4).map(|n| {
        let body = json!({ "token": token, "password": format!("tarmac lemon violin {n}") });
        let request = t.request(Method::POST, PATH, None).json(&body);
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let mut statuses = at_once(calls).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410, 410, 410]);
}

#[testkit::both_databases]
async fn changes_of_an_account_void_its_reset_links(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let me = format!("/users/{}", asha.id);
    let two = (mailed_token(&t, asha.id).await, mailed_token(&t, asha.id).await);
    reset(&t, &two.0, NEW).await.expect(200);
    reset(&t, &two.1, NEW).await.problem(410, "gone");
    for change in [json!({ "email": "new@example.com" }), json!({ "password": PASSWORD })] {
        let token = mailed_token(&t, asha.id).await;
        t.put(&me, Some(&admin), json!({ "username": "Asha R." })).await.expect(200);
        t.get(&format!("{PATH}?token={token}"), None).await.expect(200);
        t.put(&me, Some(&admin), change).await.expect(200);
        reset(&t, &token, NEW).await.problem(410, "gone");
    }
    let token = mailed_token(&t, asha.id).await;
    t.delete(&me, Some(&admin)).await.expect(200);
    reset(&t, &token, NEW).await.problem(410, "gone");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM account_tokens").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_mails_are_limited_per_address_and_account() {
    let limits = [("RATE_LIMIT_PASSWORD_RESET", "2/3600"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let t = TestApp::start_with(Engine::Sqlite, &limits).await;
    let ask = async |from: &str, email: &str| {
        let request = t.request(Method::POST, "/auth/forgot-password", None).header("x-forwarded-for", from);
        t.send(request.json(&json!({ "email": email }))).await
    };
    for email in ["asha@example.com", "ravi@example.com"] {
        ask("203.0.113.1", email).await.expect(202);
    }
    ask("203.0.113.1", "meera@example.com").await.problem(429, "rate_limited");
    ask("203.0.113.2", "ASHA@example.com ").await.expect(202);
    let refused = ask("203.0.113.3", "asha@example.com").await;
    refused.problem(429, "rate_limited");
    assert!(refused.headers.contains_key("retry-after"));
}
