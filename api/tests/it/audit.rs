//! The audit table: who did what, to whom and from where.

use reqwest::Method;
use serde_json::{Value, json};
use shared::parking::accounts;
use testkit::{Driver, PASSWORD, TestApp};

use crate::support::{change, has};

/// The rows without logins.
async fn rows(t: &TestApp, admin: &Driver) -> Vec<Value> {
    let mut rows = list(t, admin, "").await;
    rows.retain(|row| row["action"] != "logged_in");
    rows
}

async fn list(t: &TestApp, admin: &Driver, query: &str) -> Vec<Value> {
    let answer = t.get(&format!("/admin/audit{query}"), Some(admin)).await.expect(200);
    answer.body["rows"].as_array().unwrap().clone()
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["action"].as_str().unwrap()).collect()
}

#[testkit::both_databases]
async fn roles_prices_lots_and_deletions_are_recorded(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let form =
        json!({ "location_name": "A", "price": 5, "address": "B", "pincode": "1", "number_of_slots": 2 });
    let lot = t.post("/parking-lots", Some(&admin), form).await.expect(201).body["lot"]["id"].clone();
    let change = json!({ "price": 7.5, "number_of_slots": 3, "address": "B" });
    t.put(&format!("/parking-lots/{lot}"), Some(&admin), change).await.expect(200);
    t.delete(&format!("/parking-lots/{lot}"), Some(&admin)).await.expect(200);
    t.put(&format!("/users/{}", asha.id), Some(&admin), json!({ "role": "admin" })).await.expect(200);
    t.put(&format!("/users/{}", asha.id), Some(&admin), json!({ "phone_number": "98765 43210" }))
        .await
        .expect(200);
    t.put(&format!("/users/{}", asha.id), Some(&admin), json!({ "role": "user" })).await.expect(200);
    let form =
        json!({ "username": "Boss", "email": "boss@example.com", "password": PASSWORD, "role": "admin" });
    let boss = t.post("/users", Some(&admin), form).await.expect(201).body["user"]["id"].clone();
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);

    let found = rows(&t, &admin).await;
    let by = |action: &str, kind: &str, id: Value, details: Value| {
        json!({ "action": action, "object_kind": kind, "object_id": id, "details": details, "actor_id": admin.id,
            "origin": "127.0.0.1" })
    };
    let price = json!({ "price": { "from": 5.0, "to": 7.5 }, "number_of_slots": { "from": 2, "to": 3 } });
    has(
        &Value::from(found[..7].to_vec()),
        &json!([
            by("user_deleted", "user", json!(ravi.id), json!({})),
            by("administrator_created", "user", boss, json!({})),
            by("role_changed", "user", json!(asha.id), json!({ "from": "admin", "to": "user" })),
            by("role_changed", "user", json!(asha.id), json!({ "from": "user", "to": "admin" })),
            by("lot_deleted", "lot", lot.clone(), json!({})),
            by("lot_changed", "lot", lot.clone(), price.clone()),
            by("lot_created", "lot", lot.clone(), json!({ "price": 5.0, "number_of_slots": 2 })),
        ]),
    );
    assert_eq!(found[5]["details"], price, "what stayed the same is not listed");
    has(&found[7], &json!({ "action": "administrator_created", "actor_id": null, "origin": "command line" }));
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[testkit::both_databases]
async fn audit_rows_name_the_client_behind_a_trusted_proxy(t: TestApp) {
    let t = t.second_process(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    for (forwarded, origin) in [("203.0.113.7", "203.0.113.7"), ("2001:db8::7", "2001:db8::7")] {
        let role = if origin.contains(':') { "user" } else { "admin" };
        let request = t.request(Method::PUT, &format!("/users/{}", asha.id), Some(&admin));
        let request = request.header("x-forwarded-for", forwarded).json(&json!({ "role": role }));
        t.send(request).await.expect(200);
        has(&rows(&t, &admin).await[0], &json!({ "action": "role_changed", "origin": origin }));
    }
}

#[testkit::both_databases]
async fn audit_rows_hold_no_secrets_and_no_names(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let form =
        json!({ "username": "Boss", "email": "boss@example.com", "password": PASSWORD, "role": "admin" });
    t.post("/users", Some(&admin), form).await.expect(201);
    t.put(
        &format!("/users/{}", asha.id),
        Some(&admin),
        json!({ "role": "admin", "password": "Another-horse-7" }),
    )
    .await
    .expect(200);
    let text = Value::from(rows(&t, &admin).await).to_string();
    for word in [PASSWORD, "Another-horse-7", "argon2", "Boss", "boss@", "Asha", "asha@", &admin.token] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[testkit::both_databases]
async fn administrators_of_the_settings_are_recorded(t: TestApp) {
    let first =
        shared::platform::config::Admin { email: "first@example.com".into(), password: PASSWORD.into() };
    for _ in 0..2 {
        accounts::ensure_admin(&t.app, &first).await.unwrap();
    }
    let admin = t.admin().await;
    let found = rows(&t, &admin).await;
    has(&found[1], &json!({ "action": "administrator_created", "actor_id": null, "origin": "settings" }));
    assert_eq!(found.len(), 2);
}

#[testkit::both_databases]
async fn audit_rows_are_never_changed_or_removed(t: TestApp) {
    let admin = t.admin().await;
    let before = rows(&t, &admin).await;
    for text in ["UPDATE audit SET origin = 'x' WHERE id > $1", "DELETE FROM audit WHERE id > $1"] {
        let refused = change(&t, text, [0.into()]).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(rows(&t, &admin).await, before);
}

#[testkit::both_databases]
async fn the_audit_list_is_paged(t: TestApp) {
    let admin = t.admin().await;
    for _ in 0..4 {
        t.lot(1).await;
    }
    let all = list(&t, &admin, "").await;
    let (mut path, mut seen) = ("/admin/audit?limit=2".to_owned(), Vec::new());
    loop {
        let answer = t.get(&path, Some(&admin)).await.expect(200);
        seen.extend(answer.body["rows"].as_array().unwrap().clone());
        let Some(link) = answer.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link[link.find("/api").unwrap() + 4..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((seen.len(), &seen), (6, &all));
    t.get("/admin/audit", Some(&t.driver("Asha").await)).await.problem(403, "forbidden");
}

#[testkit::both_databases]
async fn logins_refusals_and_passwords_are_audited(t: TestApp) {
    let asha = t.driver("Asha").await;
    for email in [&*asha.email, "nobody@example.com"] {
        let body = json!({ "email": email, "password": "Wrong-horse-7" });
        t.post("/auth/login", None, body).await.problem(401, "invalid_credentials");
    }
    let asha = t.log_in(&asha.email).await;
    let body = json!({ "password": "Another-horse-7", "current_password": PASSWORD });
    t.put(&format!("/users/{}", asha.id), Some(&asha), body).await.expect(200);
    let admin = t.admin().await;
    let found = list(&t, &admin, "?object_kind=user").await;
    let about = |action: &str, actor: Value, id: Value, details: Value| {
        json!({ "action": action, "actor_id": actor, "object_kind": "user", "object_id": id, "details": details,
            "origin": "127.0.0.1" })
    };
    let because = json!({ "because": "password" });
    has(&found[0], &about("logged_in", json!(admin.id), json!(admin.id), json!({ "second_factor": false })));
    has(&found[2], &about("password_changed", json!(asha.id), json!(asha.id), json!({})));
    has(&found[3], &about("logged_in", json!(asha.id), json!(asha.id), json!({})));
    has(&found[4], &about("login_refused", Value::Null, Value::Null, because.clone()));
    has(&found[5], &about("login_refused", Value::Null, json!(asha.id), because));
}

#[testkit::both_databases]
async fn exports_of_all_and_job_control_are_audited(t: TestApp) {
    let admin = t.admin().await;
    t.post("/export/csv/request", Some(&admin), json!({ "scope": "all" })).await.expect(202);
    t.post("/export/csv/request", Some(&admin), json!({})).await.expect(202);
    for path in [
        "/admin/queues/mail/pause",
        "/admin/queues/mail/resume",
        "/admin/queues/mail/resume",
        "/admin/schedules/file-cleanup/pause",
        "/admin/schedules/file-cleanup/resume",
        "/admin/jobs/requeue",
    ] {
        t.send(t.request(Method::POST, path, Some(&admin))).await.expect(200);
    }
    let found = list(&t, &admin, &format!("?actor_id={}", admin.id)).await;
    let expected =
        ["schedule_resumed", "schedule_paused", "queue_resumed", "queue_paused", "all_exported", "logged_in"];
    assert_eq!(actions(&found), expected, "orders without an effect are not listed");
    has(&found[3], &json!({ "object_kind": "jobs", "origin": "127.0.0.1", "details": { "queue": "mail" } }));
}

#[testkit::both_databases]
async fn the_audit_list_is_filtered(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(1).await;
    for role in ["attendant", "user"] {
        t.put(&format!("/users/{}", asha.id), Some(&admin), json!({ "role": role })).await.expect(200);
    }
    let (id, by) = (asha.id, admin.id);
    let changes = vec!["role_changed"; 2];
    for (query, expected) in [
        (format!("?object_kind=user&object_id={id}"), changes.clone()),
        (format!("?actor_id={by}&action=role_changed"), changes.clone()),
        (format!("?object_kind=lot&object_id={lot}"), vec!["lot_created"]),
        (format!("?actor_id={id}"), vec![]),
        ("?action=role_changed&limit=1".to_owned(), vec!["role_changed"]),
        ("?from=2000-01-01&action=role_changed".to_owned(), changes),
        ("?to=2000-01-01".to_owned(), vec![]),
    ] {
        assert_eq!(actions(&list(&t, &admin, &query).await), expected, "{query}");
    }
    for query in ["?from=yesterday", "?actor_id=x"] {
        t.get(&format!("/admin/audit{query}"), Some(&admin)).await.problem(400, "invalid");
    }
}
