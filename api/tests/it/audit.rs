//! The audit table: who did what, to whom and from where.

use reqwest::Method;
use serde_json::{Value, json};
use shared::parking::accounts;
use testkit::{Driver, PASSWORD, TestApp};

use crate::support::{change, has};

async fn rows(t: &TestApp, admin: &Driver) -> Vec<Value> {
    t.get("/admin/audit", Some(admin)).await.expect(200).body["rows"].as_array().unwrap().clone()
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
    let all = rows(&t, &admin).await;
    let (mut path, mut seen) = ("/admin/audit?limit=2".to_owned(), Vec::new());
    loop {
        let answer = t.get(&path, Some(&admin)).await.expect(200);
        seen.extend(answer.body["rows"].as_array().unwrap().clone());
        let Some(link) = answer.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link[link.find("/api").unwrap() + 4..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((seen.len(), &seen), (5, &all));
    t.get("/admin/audit", Some(&t.driver("Asha").await)).await.problem(403, "forbidden");
}
