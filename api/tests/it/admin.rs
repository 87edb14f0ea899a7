//! Diagnostics for administrators: data integrity, database contents, and Redis.

use serde_json::Value;
use testkit::{Driver, Engine, TestApp};

use crate::support::{change, number, spots};

/// The violated rules, each with its offenders.
async fn broken(t: &TestApp, admin: &Driver) -> Vec<(String, Vec<Value>)> {
    let body = t.get("/admin/integrity", Some(admin)).await.expect(200).body;
    let checks = body["checks"].as_array().unwrap().clone();
    assert!(checks.len() >= 13);
    let broken: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(body["ok"], broken.is_empty());
    let text = |check: &Value| check["rule"].as_str().unwrap().to_owned();
    broken.into_iter().map(|check| (text(check), check["offenders"].as_array().unwrap().clone())).collect()
}

#[testkit::both_databases]
async fn integrity_passes_on_sound_data(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(3).await;
    let reservation = t.book(&asha, lot).await;
    t.book(&ravi, lot).await;
    t.release(&asha, reservation).await.expect(200);
    t.book(&asha, lot).await;
    assert_eq!(broken(&t, &admin).await, []);
}

#[testkit::both_databases]
async fn integrity_finds_every_kind_of_unsound_data(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let (lot, other) = (t.lot(3).await, t.lot(1).await);
    let paid = t.book(&asha, lot).await;
    t.release(&asha, paid).await.expect(200);
    let running = t.book(&ravi, lot).await;
    let held: Vec<i64> = spots(&t, lot).await;
    let offender = |id: i64| Value::from(format!("reservation {id}"));
    let find = async |rule: &str| {
        let all = broken(&t, &admin).await;
        all.into_iter().find(|(name, _)| name.contains(rule)).unwrap_or_else(|| panic!("not found: {rule}")).1
    };

    change(&t, "UPDATE reservations SET cost_minor = cost_minor + 1 WHERE id = $1", [paid.into()])
        .await
        .unwrap();
    assert_eq!(find("ended session costs").await, [offender(paid)]);
    change(&t, "UPDATE reservations SET cost_minor = cost_minor - 1 WHERE id = $1", [paid.into()])
        .await
        .unwrap();

    change(&t, "UPDATE spots SET retiring = TRUE WHERE id = $1", [held[2].into()]).await.unwrap();
    assert_eq!(find("as many spots in service").await, [Value::from(format!("lot {lot}"))]);
    change(&t, "UPDATE spots SET retiring = FALSE WHERE id = $1", [held[2].into()]).await.unwrap();

    change(&t, "UPDATE reservations SET lot_id = $2 WHERE id = $1", [running.into(), other.into()])
        .await
        .unwrap();
    assert_eq!(find("a spot of its lot").await, [offender(running)]);
    change(&t, "UPDATE reservations SET lot_id = $2 WHERE id = $1", [running.into(), lot.into()])
        .await
        .unwrap();

    change(&t, "UPDATE lots SET archived_at = created_at WHERE id = $1", [lot.into()]).await.unwrap();
    assert_eq!(find("out of service").await, [offender(running)]);
    change(&t, "UPDATE lots SET archived_at = NULL WHERE id = $1", [lot.into()]).await.unwrap();

    change(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [ravi.id.into()]).await.unwrap();
    assert_eq!(find("a deleted user").await, [Value::from(format!("user {}", ravi.id))]);
    change(&t, "UPDATE users SET deleted_at = NULL WHERE id = $1", [ravi.id.into()]).await.unwrap();

    // A session that began before the previous one had ended.
    let text = "UPDATE reservations SET arrived_at = (SELECT arrived_at FROM reservations WHERE id = $1),
        spot_id = (SELECT spot_id FROM reservations WHERE id = $1) WHERE id = $2";
    change(&t, text, [paid.into(), running.into()]).await.unwrap();
    assert_eq!(find("past or running").await, [offender(running)]);

    change(&t, "UPDATE jobs SET unique_key = '999999' WHERE kind = 'send-receipt'", []).await.unwrap();
    assert_eq!(find("mail about a reservation").await, [Value::from("send-receipt 999999")]);
}

#[testkit::both_databases]
async fn database_info_shows_engine_and_row_counts(t: TestApp) {
    let admin = t.admin().await;
    let asha = t.driver("Asha").await;
    let body = t.get("/debug/database-info", Some(&admin)).await.expect(200).body;
    let engine = if t.engine == Engine::Sqlite { "sqlite" } else { "postgresql" };
    assert_eq!((&body["engine"], &body["pending_migrations"]), (&Value::from(engine), &Value::from(0)));
    let tables = body["tables"].as_array().unwrap();
    let users = tables.iter().find(|table| table["name"] == "users").unwrap();
    assert_eq!(users["rows"], number(&t, "SELECT COUNT(*) AS n FROM users").await);
    t.get("/debug/database-info", Some(&asha)).await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn database_info_is_hidden_in_production() {
    let t = TestApp::start_with(Engine::Sqlite, &[("APP_ENV", "production")]).await;
    let admin = t.admin().await;
    t.get("/debug/database-info", Some(&admin)).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reports_database_and_redis() {
    let redis = devstack::Redis::start().await.unwrap();
    let t = TestApp::start_with(Engine::Sqlite, &[("CACHE_REDIS_URL", &redis.url(0))]).await;
    t.driver("Asha").await;
    let health = t.get("/health", None).await.expect(200).body;
    assert_eq!(
        (&health["status"], &health["database"]["status"], &health["redis"]["status"]),
        (&"ok".into(), &"ok".into(), &"ok".into())
    );
    let stats = t.get("/health/redis", None).await.expect(200).body["stats"].clone();
    assert_eq!(
        (&stats["status"], &stats["total_registrations"], &stats["active_users"]),
        (&"connected".into(), &1.into(), &1.into())
    );
    redis.kill().await.unwrap();
    let health = t.get("//health", None).await.expect(200).body;
    assert_eq!((&health["status"], &health["redis"]["status"]), (&"degraded".into(), &"away".into()));
    t.get("/health/redis", None).await.problem(503, "unavailable");
    t.get("/health/ready", None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_page_loads_no_external_resources() {
    let t = TestApp::start(Engine::Sqlite).await;
    let page = t.get("//docs/", None).await.expect(200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    for (at, _) in page.text.match_indices("src=\"").chain(page.text.match_indices("href=\"")) {
        let address = &page.text[at..].split('"').nth(1).unwrap();
        assert!(address.starts_with("./") || address.starts_with("index.css"), "{address}");
        t.get(&format!("//docs/{}", address.trim_start_matches("./")), None).await.expect(200);
    }
    let document = t.get("//openapi.json", None).await.expect(200);
    assert_eq!(document.body["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
}
