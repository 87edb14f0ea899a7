//! Accounts and sessions.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, PASSWORD, Processes, TestApp};

use crate::support::{Client, at_once, change, noon, number, plain, pointers, seconds, text};

fn form(username: &str, email: &str) -> Value {
    json!({ "username": username, "email": email, "password": PASSWORD })
}

async fn register(t: &TestApp, body: Value) -> Answer {
    t.post("/auth/register", None, body).await
}

async fn is_logged_in(t: &TestApp, who: &Driver) -> bool {
    let answer = t.get("/auth/sessions", Some(who)).await;
    if answer.status == 200 {
        return true;
    }
    answer.problem(401, "unauthenticated");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    false
}

fn with_token(who: &Driver, answer: &Answer) -> Driver {
    Driver { token: answer.body["token"].as_str().expect("a token").to_owned(), ..who.clone() }
}

#[testkit::both_databases]
async fn registration_returns_user_and_working_token(t: TestApp) {
    let mut body = form(" Asha ", " Asha@Example.COM ");
    body["vehicle_number"] = json!(" MH12AB1234 ");
    body["phone_number"] = json!("  ");
    let answer = register(&t, body).await.expect(201);
    let mut user = plain(&answer)["user"].clone();
    let id = user.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(
        user,
        json!({
            "username": "Asha", "email": "asha@example.com", "email_verified": false, "pending_email": null, "role": "user",
            "vehicle_number": "MH12AB1234", "phone_number": null, "phone_verified": false,
        })
    );
    let asha = Driver {
        id: id.as_i64().expect("a number"),
        token: answer.body["token"].as_str().unwrap().into(),
        email: "asha@example.com".into(),
    };
    assert!(is_logged_in(&t, &asha).await);
}

/// Defect 4.
#[testkit::both_databases]
async fn registration_cannot_claim_a_role(t: TestApp) {
    let mut body = form("Mallory", "mallory@example.com");
    for (field, value) in [("role", json!("admin")), ("id", json!(1)), ("is_admin", json!(true))] {
        body[field] = value;
    }
    let answer = register(&t, body).await.expect(201);
    assert_eq!(answer.body["user"]["role"], "user");
    let mallory = t.log_in("mallory@example.com").await;
    t.post("/parking-lots", Some(&mallory), json!({})).await.problem(403, "forbidden");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users WHERE role = 'admin'").await, 0);
}

#[testkit::both_databases]
async fn conflicts_name_the_taken_field(t: TestApp) {
    let mut first = form("Asha", "asha@example.com");
    first["vehicle_number"] = json!("MH12AB1234");
    first["phone_number"] = json!("9876543210");
    register(&t, first).await.expect(201);
    for (field, value, code) in [
        ("email", "asha@example.com", "email_taken"),
        ("email", " ASHA@Example.com ", "email_taken"),
        ("username", "Asha", "username_taken"),
        ("username", " aSHA ", "username_taken"),
        ("vehicle_number", "MH12AB1234", "vehicle_taken"),
        ("vehicle_number", " MH12AB1234 ", "vehicle_taken"),
        ("phone_number", "9876543210", "phone_taken"),
    ] {
        let mut body = form("Ravi", "ravi@example.com");
        body[field] = json!(value);
        register(&t, body).await.problem(409, code);
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 1);
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM sessions").await,
        1,
        "a rejected registration creates no session"
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs").await, 1, "nor a mail");
}

#[testkit::both_databases]
async fn racing_for_a_name_has_one_winner(t: TestApp) {
    let call = |i: usize| {
        let request =
            t.request(Method::POST, "/auth/register", None).json(&form("Asha", &format!("a{i}@example.com")));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let mut statuses = at_once((0..8).map(call)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

/// Defect 42.
#[testkit::both_databases]
async fn like_wildcards_are_literal(t: TestApp) {
    register(&t, form("Alice", "alice_b@example.com")).await.expect(201);
    for (name, email) in
        [("ali_", "alicexb@example.com"), ("_lice", "alice%@example.com"), ("_l_", "_@example.com")]
    {
        register(&t, form(name, email)).await.expect(201);
    }
    for email in ["%", "%@example.com", "alice__@example.com", "______b@example.com"] {
        let body = json!({ "email": email, "password": PASSWORD });
        t.post("/auth/login", None, body).await.problem(401, "invalid_credentials");
    }
}

#[testkit::both_databases]
async fn blank_plates_do_not_conflict(t: TestApp) {
    for name in ["a", "b"] {
        let mut body = form(name, &format!("{name}@example.com"));
        body["vehicle_number"] = json!(" ");
        body["phone_number"] = json!("");
        let answer = register(&t, body).await.expect(201);
        assert_eq!(answer.body["user"]["vehicle_number"], Value::Null);
    }
}

#[testkit::both_databases]
async fn every_wrong_field_of_a_registration_is_named(t: TestApp) {
    let wrong = json!({
        "username": " ", "email": "nobody", "password": "short",
        "vehicle_number": "x".repeat(21), "phone_number": "12\u{0}34",
    });
    let answer = register(&t, wrong).await;
    assert_eq!(pointers(&answer), ["/username", "/email", "/password", "/vehicle_number", "/phone_number"]);
    for (field, value) in [
        ("username", json!("x".repeat(81))),
        ("username", json!("a\u{0}b")),
        ("email", json!("a@b@c")),
        ("email", json!("a\u{0}b@example.com")),
        ("email", json!("\"a\u{0}b\"@example.com")),
        ("email", json!(format!("{}@example.com", "x".repeat(120)))),
        ("password", json!("x".repeat(257))),
        ("username", json!(7)),
        ("email", json!(null)),
        ("password", json!(["x"])),
        ("vehicle_number", json!(7.5)),
        ("phone_number", json!({})),
    ] {
        let mut body = form("Asha", "asha@example.com");
        body[field] = value.clone();
        let answer = register(&t, body).await;
        assert_eq!(pointers(&answer), [format!("/{field}")], "{value}");
    }
    for missing in ["username", "email", "password"] {
        let mut body = form("Asha", "asha@example.com");
        body.as_object_mut().unwrap().remove(missing);
        let answer = register(&t, body).await;
        pointers(&answer);
        assert!(answer.text.contains(missing), "{}", answer.text);
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 0);
}

#[testkit::both_databases]
async fn login_ignores_case_and_blanks_of_the_email(t: TestApp) {
    let asha = t.driver("Asha").await;
    for email in ["asha@example.com", "ASHA@EXAMPLE.COM", " Asha@example.com "] {
        let answer =
            t.post("/auth/login", None, json!({ "email": email, "password": PASSWORD })).await.expect(200);
        assert_eq!(answer.body["user"]["id"], asha.id);
        assert!(is_logged_in(&t, &with_token(&asha, &answer)).await);
    }
    for (field, value) in [("email", json!(3)), ("password", json!(null))] {
        let mut body = json!({ "email": "asha@example.com", "password": PASSWORD });
        body[field] = value;
        let answer = t.post("/auth/login", None, body).await;
        assert_eq!(pointers(&answer), [format!("/{field}")]);
    }
}

#[testkit::both_databases]
async fn wrong_password_and_unknown_email_look_the_same(t: TestApp) {
    t.driver("Asha").await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("asha@example.com", "Wrong-horse-1"),
        ("asha@example.com", "correct-horse-1"),
        ("asha@example.com", ""),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("", PASSWORD),
        ("a\u{0}b", PASSWORD),
        ("asha@example.com", "\u{0}"),
    ] {
        let answer = t.post("/auth/login", None, json!({ "email": email, "password": password })).await;
        answer.problem(401, "invalid_credentials");
        let mut body = answer.body.clone();
        body["request_id"] = json!(null);
        answers.push(body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM sessions").await, 1);
}

/// Defect 45.
#[testkit::both_databases]
async fn logout_voids_the_token_immediately(t: TestApp) {
    let other = t.at(Clock::System).await;
    let asha = t.driver("Asha").await;
    assert!(is_logged_in(&t, &asha).await);
    assert!(is_logged_in(&other, &asha).await, "now both processes may have cached the session");
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    assert!(!is_logged_in(&t, &asha).await);
    assert!(!is_logged_in(&other, &asha).await);
    t.post("/auth/logout", Some(&asha), json!({})).await.problem(401, "unauthenticated");
}

#[testkit::both_databases]
async fn logout_reaches_other_processes_in_a_second(t: TestApp) {
    let processes = Processes::of(&t, &[]);
    let ((_one, one), (_two, two)) = tokio::join!(processes.api(), processes.api());
    let (one, two) = (Client::of(&one), Client::of(&two));
    let asha = t.driver("Asha").await;
    // The second process keeps using the session, so it is cached there when it ends.
    for _ in 0..5 {
        assert_eq!(two.get("/auth/sessions", &asha.token).await.0, 200);
    }
    assert_eq!(one.post("/auth/logout", &asha.token, json!({})).await.0, 200);
    let ended = Instant::now();
    while two.get("/auth/sessions", &asha.token).await.0 != 401 {
        assert!(ended.elapsed() < Duration::from_secs(1), "still logged in");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..5 {
        assert_eq!(two.get("/auth/sessions", &asha.token).await.0, 401, "and the session stays ended");
    }
}

#[testkit::both_databases]
async fn users_end_only_their_own_sessions(t: TestApp) {
    let phone = t.driver("Asha").await;
    let laptop = t.log_in(&phone.email).await;
    let ravi = t.driver("Ravi").await;
    let sessions = t.get("/auth/sessions", Some(&laptop)).await.expect(200);
    let sessions = sessions.body["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.iter().filter(|session| session["current"] == true).count(), 1);
    assert_eq!(sessions[0]["current"], true, "newest first");
    let of_phone = sessions[1]["id"].as_str().unwrap();

    t.delete(&format!("/auth/sessions/{of_phone}"), Some(&ravi)).await.problem(404, "not_found");
    assert!(is_logged_in(&t, &phone).await);
    t.delete(&format!("/auth/sessions/{of_phone}"), Some(&laptop)).await.expect(200);
    assert!(!is_logged_in(&t, &phone).await);
    assert!(is_logged_in(&t, &laptop).await);
    t.delete(&format!("/auth/sessions/{of_phone}"), Some(&laptop)).await.problem(404, "not_found");
    for nothing in ["7", "nonsense", "00000000-0000-0000-0000-000000000000"] {
        t.delete(&format!("/auth/sessions/{nothing}"), Some(&laptop)).await.problem(404, "not_found");
    }
    let left = t.get("/auth/sessions", Some(&laptop)).await.expect(200);
    assert_eq!(left.body["sessions"].as_array().unwrap().len(), 1);
}

#[testkit::both_databases]
async fn session_expires_unless_refreshed(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let ravi = t.driver("Ravi").await;
    clock.advance(TimeDelta::hours(12) - seconds(1));
    assert!(is_logged_in(&t, &asha).await);
    let refreshed = t.post("/auth/refresh", Some(&asha), json!({})).await.expect(200);
    let refreshed = with_token(&asha, &refreshed);
    clock.advance(seconds(1));
    assert!(!is_logged_in(&t, &asha).await, "the old token keeps its expiry");
    assert!(!is_logged_in(&t, &ravi).await);
    assert!(is_logged_in(&t, &refreshed).await);
    t.post("/auth/refresh", Some(&ravi), json!({})).await.problem(401, "unauthenticated");
    clock.advance(TimeDelta::hours(12) - seconds(2));
    assert!(is_logged_in(&t, &refreshed).await);
    clock.advance(seconds(1));
    assert!(!is_logged_in(&t, &refreshed).await);
}

#[testkit::both_databases]
async fn refreshing_ends_at_the_longest_lifetime(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let mut asha = t.driver("Asha").await;
    for _ in 0..65 {
        clock.advance(TimeDelta::hours(11));
        let refreshed = t.post("/auth/refresh", Some(&asha), json!({})).await.expect(200);
        asha = with_token(&asha, &refreshed);
    }
    clock.advance(TimeDelta::hours(5) - seconds(1));
    let last = t.post("/auth/refresh", Some(&asha), json!({})).await.expect(200);
    let last = with_token(&asha, &last);
    assert!(is_logged_in(&t, &last).await);
    clock.advance(seconds(1));
    assert!(!is_logged_in(&t, &last).await && !is_logged_in(&t, &asha).await, "thirty days are over");
    t.post("/auth/refresh", Some(&last), json!({})).await.problem(401, "unauthenticated");
}

#[testkit::both_databases]
async fn long_logins_of_the_settings_are_not_shortened(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t
        .second_process(&[("SESSION_HOURS", "8000"), ("SESSION_MAX_DAYS", "1")])
        .await
        .at(clock.clone())
        .await;
    let asha = t.driver("Asha").await;
    clock.advance(TimeDelta::hours(7999));
    assert!(is_logged_in(&t, &asha).await);
}

#[testkit::both_databases]
async fn logout_voids_refreshed_and_previous_tokens(t: TestApp) {
    let asha = t.driver("Asha").await;
    let refreshed = t.post("/auth/refresh", Some(&asha), json!({})).await.expect(200);
    let refreshed = with_token(&asha, &refreshed);
    assert_ne!(asha.token, refreshed.token);
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    assert!(!is_logged_in(&t, &asha).await);
    assert!(!is_logged_in(&t, &refreshed).await);
}

#[testkit::both_databases]
async fn deleted_user_token_is_void_within_a_second(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    assert!(is_logged_in(&t, &asha).await);
    change(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [asha.id.into()]).await.unwrap();
    clock.advance(TimeDelta::milliseconds(1_050));
    assert!(!is_logged_in(&t, &asha).await);
    let body = json!({ "email": asha.email, "password": PASSWORD });
    t.post("/auth/login", None, body).await.problem(401, "invalid_credentials");
}

#[testkit::both_databases]
async fn role_change_applies_within_a_second(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    t.post("/parking-lots", Some(&asha), json!({})).await.problem(403, "forbidden");
    change(&t, "UPDATE users SET role = 'admin' WHERE id = $1", [asha.id.into()]).await.unwrap();
    clock.advance(TimeDelta::milliseconds(1_050));
    t.post("/parking-lots", Some(&asha), json!({})).await.problem(400, "invalid");
}

/// Defect 1.
#[testkit::both_databases]
async fn passwords_are_salted_argon2id(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let hash = async |id| text(&t, &format!("SELECT password_hash AS t FROM users WHERE id = {id}")).await;
    let (first, second) = (hash(asha.id).await, hash(ravi.id).await);
    for hash in [&first, &second] {
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }
    assert_ne!(first, second, "the same password twice");
    let everything = crate::support::content(&t).await.join("\n");
    assert!(!everything.contains(PASSWORD));
    assert!(!everything.contains(&asha.token));
}

#[testkit::both_databases]
async fn tokens_are_read_from_the_authorization_header_only(t: TestApp) {
    let asha = t.driver("Asha").await;
    let sessions = || t.request(Method::GET, "/auth/sessions", None);
    for accepted in [
        format!("Bearer {}", asha.token),
        format!("bearer {}", asha.token),
        format!("BEARER  {}", asha.token),
    ] {
        t.send(sessions().header("authorization", accepted)).await.expect(200);
    }
    for refused in [asha.token.clone(), format!("Basic {}", asha.token), "Bearer".into(), "Bearer ".into()] {
        t.send(sessions().header("authorization", refused)).await.problem(401, "unauthenticated");
    }
    t.get(&format!("/auth/sessions?token={}", asha.token), None).await.problem(401, "unauthenticated");
    t.send(sessions().header("cookie", format!("token={}", asha.token)))
        .await
        .problem(401, "unauthenticated");
}

#[testkit::both_databases]
async fn first_admin_has_a_valid_name_and_a_strong_password(t: TestApp) {
    let admin = |email: &str, password: &str| shared::platform::config::Admin {
        email: email.into(),
        password: password.into(),
    };
    let weak =
        shared::parking::accounts::ensure_admin(&t.app, &admin("boss@example.com", "parking123")).await;
    assert!(weak.unwrap_err().to_string().starts_with("ADMIN_PASSWORD is too easy to guess"));
    for (email, name) in [
        ("j.r+ops@example.com", "j r ops"),
        ("+@example.com", "admin"),
        ("first.last@example.com", "first last"),
    ] {
        shared::parking::accounts::ensure_admin(&t.app, &admin(email, testkit::PASSWORD)).await.unwrap();
        let made = shared::parking::accounts::by_email(&t.app, email).await.unwrap().unwrap();
        assert_eq!(made.username, name);
        testkit::change(&t, "UPDATE users SET role = 'user'", []).await.unwrap();
    }
}

#[testkit::both_databases]
async fn settings_create_an_admin_only_if_there_is_none(t: TestApp) {
    let boss = t.admin().await;
    let settings = shared::platform::config::Admin {
        email: "second@example.com".into(),
        password: testkit::PASSWORD.into(),
    };
    let start = async || {
        shared::parking::accounts::ensure_admin(&t.app, &settings).await.unwrap();
        shared::parking::accounts::by_email(&t.app, "second@example.com").await.unwrap()
    };
    assert!(start().await.is_none());
    testkit::change(&t, "UPDATE users SET role = 'user' WHERE id = $1", [boss.id.into()]).await.unwrap();
    assert_eq!(start().await.unwrap().role, "admin");
}

/// Defect 46.
#[testkit::both_databases]
async fn first_admin_is_created_despite_a_taken_name(t: TestApp) {
    t.driver("boss").await;
    let admin = shared::platform::config::Admin {
        email: "boss@office.example".into(),
        password: testkit::PASSWORD.into(),
    };
    shared::parking::accounts::ensure_admin(&t.app, &admin).await.unwrap();
    shared::parking::accounts::ensure_admin(&t.app, &admin).await.unwrap();
    let made = shared::parking::accounts::by_email(&t.app, "boss@office.example").await.unwrap().unwrap();
    assert_eq!(made.role, "admin");
    assert!(made.username.starts_with("boss-"), "{}", made.username);
}

#[testkit::both_databases]
async fn sessions_show_last_use_to_the_minute(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let phone = t.driver("Asha").await;
    let of = async |who: &Driver| {
        let body = t.get("/auth/sessions", Some(who)).await.expect(200).body;
        let sessions = body["sessions"].as_array().unwrap();
        sessions.iter().map(|session| session["last_active_at"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&phone).await, ["2026-11-20T12:00:00Z"]);
    clock.advance(seconds(59));
    assert_eq!(of(&phone).await, ["2026-11-20T12:00:00Z"], "written at most once a minute");
    clock.advance(seconds(2));
    assert_eq!(of(&phone).await, ["2026-11-20T12:01:01Z"]);
    clock.advance(seconds(3600));
    let laptop = t.log_in(&phone.email).await;
    assert_eq!(of(&laptop).await, ["2026-11-20T13:01:01Z", "2026-11-20T12:01:01Z"]);

    let sessions = t.get("/auth/sessions", Some(&laptop)).await.expect(200).body;
    let id = |i: usize| sessions["sessions"][i]["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    let (ours, theirs) = (t.app.redis.keys().user_session(id(0)), t.app.redis.keys().user_session(id(1)));
    let lives = async |key: &str| {
        let ttl = redis::Cmd::ttl(key);
        t.app.redis.query(async |mut redis| ttl.query_async::<i64>(&mut redis).await).await.unwrap()
    };
    assert!((12 * 3600 - 60..=12 * 3600).contains(&lives(&ours).await));
    t.delete(&format!("/auth/sessions/{}", id(1)), Some(&laptop)).await.expect(200);
    assert_eq!(
        (lives(&theirs).await, of(&laptop).await.len()),
        (-2, 1),
        "nothing remains of an ended session"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn last_use_is_unknown_without_redis() {
    let port = devstack::free_port().unwrap().to_string();
    let t = TestApp::start_with(testkit::Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    let asha = t.driver("Asha").await;
    let sessions = t.get("/auth/sessions", Some(&asha)).await.expect(200).body;
    assert!(sessions["sessions"][0]["last_active_at"].is_null(), "{sessions}");
}
