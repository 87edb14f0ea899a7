//! Clearing caches, the Redis dashboard, and the database reset.

use std::{collections::BTreeSet, process::Output};

use redis::{RedisResult, aio::ConnectionManager};
use serde_json::json;
use shared::operations::{TABLES, reset::PHRASE};
use testkit::{Driver, Engine, TestApp, binary};
use tokio::process::Command;

use crate::support::{change, number};

/// Every key of a database, with any prefix.
async fn keys(mut redis: ConnectionManager) -> RedisResult<BTreeSet<String>> {
    let (mut cursor, mut found) = (0_u64, BTreeSet::new());
    loop {
        let (next, keys): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1000).query_async(&mut redis).await?;
        found.extend(keys);
        cursor = next;
        if cursor == 0 {
            return Ok(found);
        }
    }
}

/// The keys of database 0 with this prefix.
async fn keys_with_prefix(t: &TestApp, start: &str) -> BTreeSet<String> {
    let all = t.app.redis.query(keys).await.unwrap();
    all.into_iter().filter(|key| key.starts_with(start)).collect()
}

/// Creates one of everything that Redis stores.
async fn fill(t: &TestApp) -> (Driver, Driver) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let lot = t.lot(2).await;
    t.get("/parking-lots", None).await.expect(200);
    t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
    t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
    t.app.counters.flush().await;
    // The limits in tests refill at once, so this one is written directly.
    let (limit, mut set) = (t.app.redis.keys().rate_limit("login", "someone"), redis::cmd("SET"));
    set.arg(limit).arg(1).arg("EX").arg(60);
    t.app.redis.query(async |mut redis| set.exec_async(&mut redis).await).await.unwrap();
    (admin, asha)
}

async fn operate(t: &TestApp, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary("parkade-api"));
    command.args(arguments).env_clear().envs(t.settings().iter().cloned()).envs(more.iter().copied());
    command.current_dir(t.folder()).output().await.unwrap()
}

#[testkit::both_databases]
async fn clearing_removes_only_the_named_scope(t: TestApp) {
    let (admin, asha) = fill(&t).await;
    let prefix = t.app.redis.keys().prefix();
    let family = async |name: &str| keys_with_prefix(&t, &format!("{prefix}{name}:")).await.len();
    // A neighbour with similar keys, and pending jobs.
    let neighbour = format!("x{prefix}cache:neighbour");
    let write = neighbour.clone();
    t.app
        .redis
        .query(async |mut redis| redis::cmd("SET").arg(write).arg(1).exec_async(&mut redis).await)
        .await
        .unwrap();
    let waiting = async || {
        let all = keys(t.app.redis.queue.connection().unwrap()).await.unwrap();
        all.into_iter().filter(|key| key.starts_with(&prefix)).collect::<BTreeSet<_>>()
    };
    let jobs = waiting().await;
    assert!(
        family("cache").await >= 2
            && family("count").await > 3
            && family("rate_limit").await > 0
            && !jobs.is_empty()
    );
    let (limits, counters) = (family("rate_limit").await, family("count").await);

    let cleared = t.post("/admin/clear-cache", Some(&admin), json!({})).await.expect(200).body;
    assert!(cleared["cleared_keys"].as_u64() >= Some(2) && cleared["status"] == "success", "{cleared}");
    assert_eq!(family("cache").await, 0);
    assert!(family("rate_limit").await >= limits && family("count").await >= counters);
    t.get("/user/activity", Some(&asha)).await.expect(200);

    let both = json!({ "scope": ["counters", "rate_limits"] });
    t.post("/admin/cache/clear", Some(&admin), both).await.expect(200);
    assert_eq!(t.app.counters.read(&["total_registrations"]).await.unwrap(), [0]);
    assert!(keys_with_prefix(&t, &neighbour).await.len() == 1 && waiting().await == jobs);

    let activities = t.get("/user/activity", Some(&admin)).await.expect(200).body["activities"].clone();
    let seen: Vec<_> = activities
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "clear")
        .map(|row| row["subject"].clone())
        .collect();
    assert_eq!(seen, ["counters,rate_limits", "cache"]);
    let wrong = t.post("/admin/clear-cache", Some(&admin), json!({ "scope": ["cache", "sessions"] })).await;
    wrong.problem(400, "invalid");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/scope/1");
}

#[testkit::both_databases]
async fn reset_keeps_only_admins(t: TestApp) {
    let t = t.second_process(&[("ALLOW_RESET", "true")]).await;
    let (admin, asha) = fill(&t).await;
    let lot = t.lot(1).await;
    let worker = t.work();
    t.book(&asha, lot).await;
    t.eventually("the export is written", async || {
        number(&t, "SELECT COUNT(*) AS n FROM exports WHERE ready_at IS NOT NULL").await == 1
    })
    .await;
    worker.stop().await;
    let before = t.get("/users", Some(&admin)).await.expect(200).body;
    assert_eq!(before["users"].as_array().unwrap().len(), 2);
    t.post("/admin/reset-database", Some(&admin), json!({ "confirm": "yes" })).await.problem(400, "invalid");
    assert!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await == 1);

    let done =
        t.post("/admin/reset-database", Some(&admin), json!({ "confirm": PHRASE })).await.expect(200).body;
    assert!(
        done["deleted_rows"].as_u64() > Some(10)
            && done["deleted_files"] == 1
            && done["cleared_cache_keys"].as_u64() > Some(3),
        "{done}"
    );
    // The audit table is append-only, and so is its chain.
    for table in TABLES.into_iter().filter(|table| !["schedules", "audit", "audit_chain"].contains(table)) {
        let left = number(&t, &format!("SELECT COUNT(*) AS n FROM {table}")).await;
        let expected = match table {
            // The administrator, the session, and the record of the reset.
            "users" | "sessions" | "user_activity" => 1,
            // The currency.
            "installation" => 1,
            // What keys are derived from.
            "secrets" => 2,
            // The schedules that the workers know.
            "schedules" => 3,
            _ => 0,
        };
        assert_eq!(left, expected, "{table}");
    }
    t.get("/user/activity", Some(&asha)).await.problem(401, "unauthenticated");
    let users = t.get("/users", Some(&admin)).await.expect(200).body["users"].clone();
    assert_eq!((users.as_array().unwrap().len(), users[0]["id"].as_i64()), (1, Some(admin.id)));
    assert_eq!(t.get("/parking-lots", None).await.expect(200).body["lots"], json!([]));
    // Ids are not reused, so an old token never belongs to a new user.
    assert!(t.driver("Ravi").await.id > asha.id);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn reset_is_rejected_unless_allowed_and_in_production(t: TestApp) {
    let admin = t.admin().await;
    t.lot(1).await;
    let words = json!({ "confirm": PHRASE });
    t.post("/admin/reset-database", Some(&admin), words.clone()).await.problem(409, "reset_not_allowed");
    let production = t.second_process(&[("ALLOW_RESET", "true"), ("APP_ENV", "production")]).await;
    production.post("/admin/reset-database", Some(&admin), words).await.problem(409, "reset_in_production");
    let refused = operate(&t, &["reset", "--confirm", PHRASE], &[]).await;
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("ALLOW_RESET=true"),
        "{refused:?}"
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 1);
}

#[testkit::both_databases]
async fn clear_and_reset_work_from_the_command_line(t: TestApp) {
    fill(&t).await;
    let cleared = operate(&t, &["cache", "clear"], &[]).await;
    assert!(
        cleared.status.success() && String::from_utf8_lossy(&cleared.stdout).contains("keys cleared"),
        "{cleared:?}"
    );
    assert!(keys_with_prefix(&t, &format!("{}cache:", t.app.redis.keys().prefix())).await.is_empty());
    let reset = operate(&t, &["reset", "--confirm", PHRASE], &[("ALLOW_RESET", "true")]).await;
    assert!(
        reset.status.success() && String::from_utf8_lossy(&reset.stdout).starts_with("Deleted "),
        "{reset:?}"
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 1);
}

#[testkit::both_databases]
async fn dashboard_shows_server_counters_and_keys(t: TestApp) {
    let (admin, _) = fill(&t).await;
    t.get("/parking-lots", None).await.expect(200);
    t.get("/no-such-place", None).await.expect(404);
    let data = t.get("/admin/redis-dashboard", Some(&admin)).await.expect(200).body["data"].clone();
    assert_eq!(data["connection_status"], "connected");
    assert!(
        data["server_info"]["redis_version"].as_str().unwrap().contains('.')
            && data["server_info"]["used_memory"].as_u64() > Some(100_000)
    );
    let metrics = &data["application_metrics"];
    assert_eq!(
        (&metrics["total_registrations"], &metrics["active_users_count"]),
        (&json!(1), &json!(2)),
        "{metrics}"
    );
    assert_eq!(data["daily_metrics"]["today_registrations"], 1);
    let history = data["history"].as_array().unwrap();
    assert_eq!(
        (history.len(), &history[29]["registrations"], &history[0]["registrations"]),
        (30, &json!(1), &json!(0))
    );
    assert!(
        data["response_codes"]["404"].as_i64() >= Some(1)
            && data["response_codes"]["200"].as_i64() >= Some(3)
    );
    let lots =
        data["cache_hits"].as_array().unwrap().iter().find(|row| row["group"] == "parking_lots").unwrap();
    assert_eq!((&lots["hits"], &lots["misses"], &lots["hit_rate"]), (&json!(1), &json!(1), &json!(0.5)));
    let stored = &data["cache_info"];
    assert!(
        stored["complete"] == true
            && stored["cached_parking_lots"] == 2
            && stored["active_sessions"].as_i64() >= Some(1),
        "{stored}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_clear_report_a_missing_redis() {
    let port = devstack::free_port().unwrap().to_string();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    let admin = t.admin().await;
    t.get("/admin/redis-dashboard", Some(&admin)).await.problem(503, "unavailable");
    t.post("/admin/clear-cache", Some(&admin), json!({})).await.problem(503, "unavailable");
    assert_eq!(change(&t, "DELETE FROM user_activity WHERE kind = 'clear'", []).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_samples_a_large_redis() {
    let (t, _redis) = TestApp::start_with_redis(Engine::Sqlite).await;
    let admin = t.admin().await;
    // In batches, as requests to Redis time out after half a second.
    for start in (0..150_000).step_by(5_000) {
        let mut fill = redis::cmd("EVAL");
        fill.arg("for i = 1, 5000 do redis.call('SET', KEYS[1] .. (ARGV[1] + i), 1) end").arg(1);
        fill.arg(t.app.redis.keys().cached("parking_lot:")).arg(start);
        t.app.redis.query(async |mut redis| fill.exec_async(&mut redis).await).await.unwrap();
    }
    let stored =
        t.get("/admin/redis-dashboard", Some(&admin)).await.expect(200).body["data"]["cache_info"].clone();
    let counted = stored["total_keys"].as_i64().unwrap();
    assert!(stored["complete"] == false && (90_000..=120_000).contains(&counted), "{stored}");
}
