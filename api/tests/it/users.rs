//! Users: who may see and change whom, and the effects of a change.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, PASSWORD, Processes, TestApp};

use crate::{
    cached::cached_answers,
    hostile::HOSTILE,
    support::{Client, at_once, content, many_drivers, noon, number, plain, pointers, seconds, text},
};

fn form(username: &str, email: &str) -> Value {
    json!({ "username": username, "email": email, "password": PASSWORD })
}

/// As a client does that asks for the current password before it changes anything.
async fn put(t: &TestApp, who: &Driver, id: i64, mut body: Value) -> Answer {
    body["current_password"] = json!(PASSWORD);
    t.send(t.request(Method::PUT, &format!("/users/{id}"), Some(who)).json(&body)).await
}

async fn is_logged_in(t: &TestApp, who: &Driver) -> bool {
    t.get("/auth/sessions", Some(who)).await.status == 200
}

async fn role(t: &TestApp, id: i64) -> String {
    text(t, &format!("SELECT role AS t FROM users WHERE id = {id}")).await
}

/// A second administrator, with a token.
async fn second_admin(t: &TestApp, admin: &Driver, name: &str) -> Driver {
    let email = format!("{name}@example.com");
    let mut body = form(name, &email);
    body["role"] = json!("admin");
    t.post("/users", Some(admin), body).await.expect(201);
    t.log_in(&email).await
}

/// Defect 13.
#[testkit::both_databases]
async fn users_read_themselves_and_admins_everybody(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let me = json!({ "user": {
        "id": asha.id, "username": "Asha", "email": "asha@example.com", "email_verified": false, "pending_email": null, "role": "user",
        "vehicle_number": null, "phone_number": null, "phone_verified": false,
    } });
    for (who, path) in [(&asha, format!("/users/{}", asha.id)), (&admin, format!("/users/{}", asha.id))] {
        assert_eq!(plain(&t.get(&path, Some(who)).await.expect(200)), me);
    }
    for foreign in [ravi.id, admin.id, 999_999, 0, -1] {
        t.get(&format!("/users/{foreign}"), Some(&asha)).await.problem(403, "forbidden");
        put(&t, &asha, foreign, json!({})).await.problem(403, "forbidden");
    }
    t.get("/users/999999", Some(&admin)).await.problem(404, "not_found");
    put(&t, &admin, 999_999, json!({})).await.problem(404, "not_found");
    put(&t, &admin, 999_999, json!({ "password": PASSWORD })).await.problem(404, "not_found");
    t.delete("/users/999999", Some(&admin)).await.problem(404, "not_found");
    for (method, status, code) in
        [(Method::PUT, 400, "invalid"), (Method::GET, 404, "not_found"), (Method::DELETE, 404, "not_found")]
    {
        t.send(t.request(method, "/users/abc", Some(&admin)).json(&json!({}))).await.problem(status, code);
    }
    for path in ["/users".to_owned(), format!("/users/{}", asha.id)] {
        t.get(&path, None).await.problem(401, "unauthenticated");
    }
}

#[testkit::both_databases]
async fn user_administration_is_admin_only(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let before = content(&t).await;
    t.get("/users", Some(&asha)).await.problem(403, "forbidden");
    t.post("/users", Some(&asha), form("Mallory", "mallory@example.com")).await.problem(403, "forbidden");
    // One's own account needs the password.
    t.delete(&format!("/users/{}", asha.id), Some(&asha)).await.problem(403, "current_password_required");
    for id in [ravi.id, admin.id, 999_999] {
        t.delete(&format!("/users/{id}"), Some(&asha)).await.problem(403, "forbidden");
    }
    t.post("/users", None, form("Mallory", "mallory@example.com")).await.problem(401, "unauthenticated");
    t.delete(&format!("/users/{}", asha.id), None).await.problem(401, "unauthenticated");
    assert_eq!(content(&t).await, before);
}

/// Defect 48.
#[testkit::both_databases]
async fn user_list_is_sorted_by_id_and_paged(t: TestApp) {
    let admin = t.admin().await;
    let drivers = many_drivers(&t, "driver", 7).await;
    let ids = |answer: &Answer| -> Vec<i64> {
        answer.body["users"].as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect()
    };
    let mut expected = vec![admin.id];
    expected.extend(drivers.iter().map(|driver| driver.id));
    let whole = t.get("/users", Some(&admin)).await.expect(200);
    assert_eq!(ids(&whole), expected);
    assert!(!whole.headers.contains_key("link"));
    assert!(!whole.text.contains("password") && !whole.text.contains("argon2"), "{}", whole.text);

    let (mut parts, mut path) = (Vec::new(), "/users?limit=3".to_owned());
    loop {
        let part = t.get(&path, Some(&admin)).await.expect(200);
        parts.push(ids(&part));
        let Some(link) = part.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.strip_prefix("</api").unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(parts, expected.chunks(3).map(<[i64]>::to_vec).collect::<Vec<_>>());

    t.delete(&format!("/users/{}", drivers[0].id), Some(&admin)).await.expect(200);
    let rest: Vec<_> = expected.iter().copied().filter(|id| *id != drivers[0].id).collect();
    assert_eq!(ids(&t.get("/users", Some(&admin)).await.expect(200)), rest);
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor="] {
        t.get(&format!("/users?{wrong}"), Some(&admin)).await.problem(400, "invalid");
    }
}

#[testkit::both_databases]
async fn admin_created_account_works_and_is_welcomed(t: TestApp) {
    let admin = t.admin().await;
    let sessions = number(&t, "SELECT COUNT(*) AS n FROM sessions").await;
    let mut body = form(" Asha ", " Asha@Example.COM ");
    body["vehicle_number"] = json!(" MH12AB1234 ");
    body["phone_number"] = json!("  ");
    let answer = t.post("/users", Some(&admin), body).await.expect(201);
    let mut created = plain(&answer);
    let id = created["user"].as_object_mut().unwrap().remove("id").unwrap().as_i64().unwrap();
    assert_eq!(
        created,
        json!({ "user": {
        "username": "Asha", "email": "asha@example.com", "email_verified": true, "pending_email": null, "role": "user",
        "vehicle_number": "MH12AB1234", "phone_number": null, "phone_verified": false,
    } })
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM sessions").await, sessions);
    assert_eq!(number(&t, &format!("SELECT COUNT(*) AS n FROM user_activity WHERE user_id = {id}")).await, 0);
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM users WHERE last_login_at IS NULL AND role = 'user'").await,
        1
    );
    assert_eq!(
        number(
            &t,
            &format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-welcome' AND owner_id = {id}")
        )
        .await,
        1
    );
    assert_eq!(t.log_in("asha@example.com").await.id, id);
    assert_eq!(role(&t, second_admin(&t, &admin, "boss").await.id).await, "admin");
}

#[testkit::both_databases]
async fn creating_a_user_is_idempotent(t: TestApp) {
    let admin = t.admin().await;
    let send = |key: &'static str, name: &'static str| {
        let request = t.request(Method::POST, "/users", Some(&admin)).header("idempotency-key", key);
        t.send(request.json(&form(name, "asha@example.com")))
    };
    let first = send("k1", "Asha").await.expect(201);
    let again = send("k1", "Asha").await.expect(201);
    assert_eq!((again.headers["idempotency-replayed"].to_str().unwrap(), &again.text), ("true", &first.text));
    send("k1", "Other").await.problem(422, "idempotency_key_reused");
    send("k2", "Other").await.problem(409, "email_taken");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 2);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-welcome'").await, 1);
}

/// Defects 40, 41, 42 and 43.
#[testkit::both_databases]
async fn taken_values_conflict_on_create_and_update(t: TestApp) {
    let (admin, ravi) = (t.admin().await, t.driver("Ravi").await);
    let mut first = form("Asha", "asha@example.com");
    first["vehicle_number"] = json!("MH12AB1234");
    first["phone_number"] = json!("9876543210");
    t.post("/users", Some(&admin), first).await.expect(201);
    let before = content(&t).await;
    for (field, value, code) in [
        ("email", "asha@example.com", "email_taken"),
        ("email", " ASHA@Example.com ", "email_taken"),
        ("username", "Asha", "username_taken"),
        ("username", " aSHA ", "username_taken"),
        ("vehicle_number", " MH12AB1234 ", "vehicle_taken"),
        ("phone_number", "9876543210", "phone_taken"),
    ] {
        let mut body = form("Meera", "meera@example.com");
        body[field] = json!(value);
        t.post("/users", Some(&admin), body).await.problem(409, code);
        for who in [&ravi, &admin] {
            put(
                &t,
                who,
                ravi.id,
                json!({ "phone_number": "9876500001", "vehicle_number": "2", field: value }),
            )
            .await
            .problem(409, code);
        }
    }
    assert_eq!(content(&t).await, before);
    // Wildcards have no special meaning.
    for email in ["%@example.com", "ash_@example.com", "____@example.com"] {
        put(&t, &ravi, ravi.id, json!({ "email": email })).await.expect(200);
    }
    // A user's own values do not count as taken.
    put(&t, &ravi, ravi.id, json!({ "username": "RAVI", "email": "Ravi@example.com" })).await.expect(200);
    put(&t, &ravi, ravi.id, json!({ "username": "ravi", "email": "ravi@EXAMPLE.com" })).await.expect(200);
    assert_eq!(t.log_in("RAVI@example.com").await.id, ravi.id);
}

#[testkit::both_databases]
async fn racing_for_a_plate_has_one_winner(t: TestApp) {
    let drivers = many_drivers(&t, "driver", 8).await;
    let call = |driver: &Driver| {
        let request = t.request(Method::PUT, &format!("/users/{}", driver.id), Some(driver));
        let request = request.json(&json!({ "vehicle_number": "MH12AB1234" }));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let mut statuses = at_once(drivers.iter().map(call)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[testkit::both_databases]
async fn update_changes_only_named_fields(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let mut user = json!({
        "id": asha.id, "username": "Asha", "email": "asha@example.com", "email_verified": false, "pending_email": null, "role": "user",
        "vehicle_number": null, "phone_number": null, "phone_verified": false,
    });
    assert_eq!(plain(&put(&t, &asha, asha.id, json!({})).await.expect(200))["user"], user);
    for (field, sent, kept) in [
        ("vehicle_number", json!(" MH12AB1234 "), json!("MH12AB1234")),
        ("phone_number", json!("98765 43210"), json!("+919876543210")),
        ("username", json!("  Asha R. "), json!("Asha R.")),
        ("email", json!(" Asha.R@Example.com"), json!("asha.r@example.com")),
        ("vehicle_number", json!(null), json!(null)),
        ("phone_number", json!("  "), json!(null)),
        ("phone_number", json!("022 2345-6789"), json!("+912223456789")),
        ("vehicle_number", json!(""), json!(null)),
    ] {
        user[field] = kept;
        // A new address of one's own has to be verified first.
        let callers = if field == "email" { vec![&admin] } else { vec![&asha, &admin] };
        for who in callers {
            assert_eq!(plain(&put(&t, who, asha.id, json!({ field: sent })).await.expect(200))["user"], user);
        }
        assert_eq!(t.get(&format!("/users/{}", asha.id), Some(&asha)).await.body["user"], user);
    }
    assert!(is_logged_in(&t, &asha).await, "none of these ends a session");
    // Several users may have none.
    put(&t, &admin, admin.id, json!({ "vehicle_number": "", "phone_number": "" })).await.expect(200);
}

/// Defects 39, 40 and 58.
#[testkit::both_databases]
async fn every_wrong_field_is_named(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let before = content(&t).await;
    let wrong = json!({
        "username": " ", "email": "nobody", "password": "short", "role": "boss",
        "vehicle_number": "x".repeat(21), "phone_number": "12\u{0}34",
    });
    let all = ["/username", "/email", "/password", "/role", "/vehicle_number", "/phone_number"];
    assert_eq!(pointers(&t.post("/users", Some(&admin), wrong.clone()).await), all);
    assert_eq!(pointers(&put(&t, &admin, asha.id, wrong).await), all);
    for (field, value) in [
        ("username", json!("")),
        ("username", json!("x".repeat(81))),
        ("username", json!("a\u{0}b")),
        ("username", json!(null)),
        ("username", json!(7)),
        ("email", json!("")),
        ("email", json!(" ")),
        ("email", json!("a@b@c")),
        ("email", json!("a\u{0}b@example.com")),
        ("email", json!(null)),
        ("email", json!([])),
        ("email", json!(format!("{}@example.com", "x".repeat(120)))),
        ("password", json!("")),
        ("password", json!("x".repeat(257))),
        ("password", json!(null)),
        ("password", json!({})),
        ("role", json!("")),
        ("role", json!("Admin")),
        ("role", json!(true)),
        ("vehicle_number", json!(7.5)),
        ("phone_number", json!(["1"])),
        ("phone_number", json!("x".repeat(21))),
    ] {
        let mut body = form("Ravi", "ravi@example.com");
        body[field] = value.clone();
        assert_eq!(
            pointers(&t.post("/users", Some(&admin), body.clone()).await),
            [format!("/{field}")],
            "{value}"
        );
        for body in [json!({ field: value }), body] {
            assert_eq!(pointers(&put(&t, &admin, asha.id, body).await), [format!("/{field}")], "{value}");
        }
    }
    assert_eq!(pointers(&put(&t, &admin, asha.id, json!({ "role": null })).await), ["/role"]);
    for missing in ["username", "email", "password"] {
        let mut body = form("Ravi", "ravi@example.com");
        body.as_object_mut().unwrap().remove(missing);
        t.post("/users", Some(&admin), body).await.problem(400, "invalid");
    }
    assert_eq!(content(&t).await, before);
}

/// Defect 4.
#[testkit::both_databases]
async fn users_cannot_grant_themselves_rights(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let before = content(&t).await;
    let greedy = json!({
        "id": admin.id, "user_id": ravi.id, "role": "admin", "is_admin": true, "username_key": "x", "email_key": "x",
        "password_hash": "x", "created_at": "2020-01-01T00:00:00Z", "deleted_at": "2020-01-01T00:00:00Z",
        "last_login_at": null, "reminders_off": true, "__proto__": { "role": "admin" }, "user": { "role": "admin" },
    });
    let answer = put(&t, &asha, asha.id, greedy.clone()).await.expect(200);
    assert_eq!((&answer.body["user"]["id"], &answer.body["user"]["role"]), (&json!(asha.id), &json!("user")));
    put(&t, &asha, asha.id, json!({ "role": "nonsense" })).await.expect(200);
    assert_eq!(content(&t).await, before);
    assert!(is_logged_in(&t, &asha).await);

    let mut body = greedy;
    for (name, value) in form("Meera", "meera@example.com").as_object().unwrap() {
        body[name] = value.clone();
    }
    let registered = t.post("/auth/register", None, body.clone()).await.expect(201);
    assert_eq!(registered.body["user"]["role"], "user");
    body["role"] = json!("user");
    body["username"] = json!("Nila");
    body["email"] = json!("nila@example.com");
    let created = t.post("/users", Some(&admin), body).await.expect(201);
    assert!(created.body["user"]["id"].as_i64().unwrap() > ravi.id);
    assert_eq!(
        number(
            &t,
            "SELECT COUNT(*) AS n FROM users WHERE role = 'admin' OR reminders_off OR deleted_at IS NOT NULL"
        )
        .await,
        1
    );
}

#[testkit::both_databases]
async fn hostile_user_texts_round_trip(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let mut accepted = 0;
    for (i, hostile) in HOSTILE.into_iter().enumerate() {
        for field in ["username", "vehicle_number", "phone_number"] {
            let changed = put(&t, &asha, asha.id, json!({ field: hostile })).await;
            if changed.status != 200 {
                assert_eq!(pointers(&changed), [format!("/{field}")], "{hostile}");
                continue;
            }
            accepted += 1;
            let read = t.get(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
            assert_eq!(read.body["user"], changed.body["user"], "{hostile}");
            let shown = read.body["user"][field].as_str().unwrap();
            assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
        let password = format!("tarmac lemon {hostile} violin");
        let email = format!("h{i}@example.com");
        let body = json!({ "username": format!("h{i}"), "email": email, "password": password });
        let created = t.post("/users", Some(&admin), body).await;
        if hostile.contains(char::is_control) {
            assert_eq!(pointers(&created), ["/password"], "{hostile}");
        } else {
            created.expect(201);
            let login = json!({ "email": email, "password": password });
            t.post("/auth/login", None, login).await.expect(200);
        }
    }
    assert!(accepted > 40, "{accepted} of {}", 3 * HOSTILE.len());
    for email in [
        "o'hara@example.com",
        "a+b=c@example.com",
        "%@example.com",
        "_@example.com",
        "{{7}}@example.com",
        "$x@example.com",
        "`x`@example.com",
    ] {
        let answer = put(&t, &admin, asha.id, json!({ "email": email })).await.expect(200);
        assert_eq!(answer.body["user"]["email"], email);
        assert_eq!(t.log_in(email).await.id, asha.id);
    }
}

/// Defects 36 and 45.
#[testkit::both_databases]
async fn new_password_ends_all_other_sessions_same_one_none(t: TestApp) {
    let (other, admin) = (t.at(Clock::System).await, t.admin().await);
    let asha = t.driver("Asha").await;
    let laptop = t.log_in(&asha.email).await;
    put(&t, &asha, asha.id, json!({ "password": PASSWORD })).await.expect(200);
    for (t, who) in [(&t, &asha), (&other, &laptop), (&t, &laptop), (&other, &asha)] {
        assert!(is_logged_in(t, who).await);
    }
    put(&t, &laptop, asha.id, json!({ "password": "Another-horse-1" })).await.expect(200);
    for t in [&t, &other] {
        assert!(!is_logged_in(t, &asha).await && is_logged_in(t, &laptop).await);
    }
    assert!(is_logged_in(&t, &admin).await, "only the sessions of this user end");
    t.post("/auth/login", None, json!({ "email": asha.email, "password": PASSWORD }))
        .await
        .problem(401, "invalid_credentials");
    t.post("/auth/login", None, json!({ "email": asha.email, "password": "Another-horse-1" }))
        .await
        .expect(200);
    let everything = content(&t).await.join("\n");
    assert!(!everything.contains("Another-horse-1"), "defect 1");
    put(&t, &admin, asha.id, json!({ "password": PASSWORD })).await.expect(200);
    assert!(!is_logged_in(&t, &laptop).await, "a password from somebody else ends every session");
    t.log_in(&asha.email).await;
}

#[testkit::both_databases]
async fn login_with_the_old_password_does_not_survive(t: TestApp) {
    for round in 0..3 {
        let (asha, admin) = (t.driver(&format!("Asha{round}")).await, t.admin().await);
        let login = json!({ "email": asha.email, "password": PASSWORD });
        let mut calls: Vec<_> =
            (0..8).map(|_| t.request(Method::POST, "/auth/login", None).json(&login)).collect();
        let change = t.request(Method::PUT, &format!("/users/{}", asha.id), Some(&admin));
        calls.push(change.json(&json!({ "password": "Another-horse-1" })));
        let statuses =
            at_once(calls.into_iter().map(|call| async { call.send().await.unwrap().status().as_u16() }))
                .await;
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
        let open =
            format!("SELECT COUNT(*) AS n FROM sessions WHERE user_id = {} AND ended_at IS NULL", asha.id);
        assert_eq!(number(&t, &open).await, 0);
    }
}

#[testkit::both_databases]
async fn role_change_ends_every_session(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    put(&t, &admin, asha.id, json!({ "role": "user" })).await.expect(200);
    assert!(is_logged_in(&t, &asha).await, "setting the same role changes nothing");
    let answer = put(&t, &admin, asha.id, json!({ "role": "admin" })).await.expect(200);
    assert_eq!(answer.body["user"]["role"], "admin");
    assert!(!is_logged_in(&t, &asha).await);
    let asha = t.log_in(&asha.email).await;
    t.get("/users", Some(&asha)).await.expect(200);
    put(&t, &admin, asha.id, json!({ "role": "admin" })).await.expect(200);
    assert!(is_logged_in(&t, &asha).await);
    put(&t, &admin, asha.id, json!({ "role": "user" })).await.expect(200);
    assert!(!is_logged_in(&t, &asha).await);
    let asha = t.log_in(&asha.email).await;
    t.get("/users", Some(&asha)).await.problem(403, "forbidden");
}

#[testkit::both_databases]
async fn password_change_reaches_other_processes_in_a_second(t: TestApp) {
    let processes = Processes::of(&t, &[]);
    let ((_one, one), (_two, two)) = tokio::join!(processes.api(), processes.api());
    let (one, two) = (Client::of(&one), Client::of(&two));
    let asha = t.driver("Asha").await;
    let laptop = t.log_in(&asha.email).await;
    for _ in 0..5 {
        assert_eq!(two.get("/auth/sessions", &asha.token).await.0, 200);
    }
    let body = json!({ "password": "Another-horse-1", "current_password": PASSWORD });
    assert_eq!(one.call(Method::PUT, &format!("/users/{}", asha.id), &laptop.token, Some(body)).await.0, 200);
    let changed = Instant::now();
    while two.get("/auth/sessions", &asha.token).await.0 != 401 {
        assert!(changed.elapsed() < Duration::from_secs(1), "still logged in");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one.get("/auth/sessions", &asha.token).await.0, 401);
}

#[testkit::both_databases]
async fn last_admin_cannot_be_demoted(t: TestApp) {
    let admin = t.admin().await;
    put(&t, &admin, admin.id, json!({ "role": "user" })).await.problem(409, "last_admin");
    put(&t, &admin, admin.id, json!({ "role": "user", "username": "x" })).await.problem(409, "last_admin");
    assert!(is_logged_in(&t, &admin).await);
    put(&t, &admin, admin.id, json!({ "role": "admin" })).await.expect(200);
    let asha = t.driver("Asha").await;
    put(&t, &admin, asha.id, json!({ "role": "user" })).await.expect(200);
    let boss = second_admin(&t, &admin, "boss").await;
    put(&t, &admin, admin.id, json!({ "role": "user" })).await.expect(200);
    put(&t, &boss, boss.id, json!({ "role": "user" })).await.problem(409, "last_admin");
    assert_eq!(role(&t, boss.id).await, "admin");
    t.delete(&format!("/users/{}", admin.id), Some(&boss)).await.expect(200);
    put(&t, &boss, boss.id, json!({ "role": "user" })).await.problem(409, "last_admin");
}

#[testkit::both_databases]
async fn concurrent_demotions_leave_one_admin(t: TestApp) {
    let first = t.admin().await;
    let mut admins = vec![first.clone()];
    for name in ["b", "c", "d"] {
        admins.push(second_admin(&t, &first, name).await);
    }
    let call = |i: usize| {
        let request = t.request(Method::PUT, &format!("/users/{}", admins[(i + 1) % 4].id), Some(&admins[i]));
        let request = request.json(&json!({ "role": "user" }));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let statuses = at_once((0..4).map(call)).await;
    // An administrator who has just lost the role is rejected.
    assert!(statuses.iter().all(|status| [200, 401, 409].contains(status)), "{statuses:?}");
    assert!(number(&t, "SELECT COUNT(*) AS n FROM users WHERE role = 'admin'").await >= 1);
}

/// Defect 41.
#[testkit::both_databases]
async fn changed_email_is_the_login_in_any_case(t: TestApp) {
    let t = t.at(Clock::fixed(noon() + seconds(1))).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    put(&t, &admin, asha.id, json!({ "email": "NEW.Address@Example.COM " })).await.expect(200);
    for email in ["new.address@example.com", " New.Address@example.com"] {
        assert_eq!(t.log_in(email).await.id, asha.id);
    }
    t.post("/auth/login", None, json!({ "email": asha.email, "password": PASSWORD }))
        .await
        .problem(401, "invalid_credentials");
    t.driver("Other").await;
    t.post("/auth/register", None, form("Third", &asha.email)).await.expect(201);
}

/// Percent-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[testkit::both_databases]
async fn admins_find_users_by_email_and_name(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha R").await, t.driver("Ravi").await);
    let found = async |query: &[(&str, &str)]| {
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = t.get(&format!("/users?{}", pairs.join("&")), Some(&admin)).await.expect(200);
        assert!(answer.headers.contains_key("etag"));
        answer.body["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(found(&[("email", " ASHA.R@Example.com ")]).await, [asha.id]);
        assert_eq!(found(&[("username", "asha r")]).await, [asha.id]);
        assert_eq!(found(&[("email", "asha.r@example.com"), ("username", "Asha R")]).await, [asha.id]);
        assert_eq!(found(&[("email", "asha.r@example.com"), ("username", "Ravi")]).await, [0_i64; 0]);
        for unknown in
            ["", "%", "asha", "_avi", "Ravi' OR '1'='1", "nobody@example.com", "asha.r@example.com\",None,\""]
        {
            assert_eq!(found(&[("email", unknown)]).await, [0_i64; 0], "{unknown}");
            assert_eq!(found(&[("username", unknown)]).await, [0_i64; 0], "{unknown}");
        }
    }
    put(&t, &admin, ravi.id, json!({ "email": "new@example.com" })).await.expect(200);
    assert_eq!(
        (found(&[("email", "ravi@example.com")]).await, found(&[("email", "new@example.com")]).await),
        (vec![], vec![ravi.id])
    );
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);
    assert_eq!(found(&[("username", "ravi")]).await, [0_i64; 0]);
    t.get("/users?email=ravi@example.com", Some(&asha)).await.problem(403, "forbidden");
    for name in ["email", "username"] {
        t.get(&format!("/users?{name}=a%00b"), Some(&admin)).await.problem(400, "invalid");
        let long = "a".repeat(121);
        t.get(&format!("/users?{name}={long}"), Some(&admin)).await.problem(400, "invalid");
    }
    let keys: Vec<String> = cached_answers(&t).await.into_iter().map(|(key, _)| key).collect();
    let look_ups = keys.iter().filter(|key| key.contains("user_lookup:")).count();
    assert!(look_ups >= 8 && keys.iter().all(|key| !key.contains("example")), "{keys:?}");
}
