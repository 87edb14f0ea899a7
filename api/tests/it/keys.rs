//! The keys in Redis after all kinds of work: each is documented, expires, and has a name that clients cannot choose.

use std::collections::{BTreeMap, BTreeSet};

use redis::{AsyncCommands, RedisResult, aio::ConnectionManager};
use serde_json::json;
use shared::platform::redis::{FAMILIES, REGISTER, family_of};
use testkit::{Driver, TestApp};

use crate::support::{ENGINES, number, spots};

/// A key with its type and its time to live in milliseconds, -1 for none.
type Key = (String, String, i64);

/// Every key of a database, with any prefix.
async fn all_keys(mut redis: ConnectionManager) -> RedisResult<Vec<Key>> {
    let (mut cursor, mut found) = (0_u64, Vec::new());
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN").arg(cursor).query_async(&mut redis).await?;
        for key in keys {
            let (kind, lives): (String, i64) =
                redis::pipe().cmd("TYPE").arg(&key).cmd("PTTL").arg(&key).query_async(&mut redis).await?;
            // Skips keys that have expired meanwhile.
            if lives != -2 && kind != "none" {
                found.push((key, kind, lives));
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(found);
        }
    }
}

/// Scans all three databases. Records the key families found, and returns the keys that should expire but do not.
async fn scan_keys(t: &TestApp, seen: &mut BTreeSet<&'static str>) -> Vec<String> {
    let prefix = t.app.redis.keys().prefix();
    let mut endless = Vec::new();
    let databases = [
        t.app.redis.query(all_keys).await.unwrap(),
        t.app.redis.queue.query(all_keys).await.unwrap(),
        t.app.redis.notifications.query(all_keys).await.unwrap(),
    ];
    for (database, keys) in (0..).zip(databases) {
        for (key, kind, lives) in keys {
            if (database, key.as_str()) == (1, REGISTER) {
                continue;
            }
            let own = key
                .strip_prefix(&prefix)
                .unwrap_or_else(|| panic!("{database}: {key} is not below {prefix}"));
            let family =
                family_of(database, own).unwrap_or_else(|| panic!("{database}: {own} is not in the table"));
            assert_eq!(kind, family.kind, "{own}");
            assert!(
                family.expires || lives == -1,
                "{own} expires in {lives} ms, but the table does not say so"
            );
            seen.insert(family.name);
            if family.expires && lives == -1 {
                endless.push(key);
            }
        }
    }
    endless
}

/// Reads every cached view.
async fn read_all(t: &TestApp, admin: &Driver, asha: &Driver, lot: i64) {
    for path in
        ["/parking-lots", &format!("/parking-lots/{lot}"), &format!("/parking-lots/{lot}/available-spots")]
    {
        t.get(path, None).await.expect(200);
    }
    let id = asha.id;
    for path in [
        "/user-reports",
        "/user-booking-history",
        "/auth/sessions",
        &format!("/users/{id}"),
        &format!("/users/{id}/reservations"),
    ] {
        t.get(path, Some(asha)).await.expect(200);
    }
    for path in
        ["/users", "/users?email=asha@example.com", "/reports", "/admin/redis-dashboard", "/health/redis"]
    {
        t.get(path, Some(admin)).await.expect(200);
    }
}

/// Every kind of request, with and without a worker.
async fn exercise_everything(t: &TestApp, seen: &mut BTreeSet<&'static str>) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(3).await;
    let reservation = t.book(&asha, lot).await;
    read_all(t, &admin, &asha, lot).await;
    t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
    // A cancelled job keeps its status in Redis; a short one that succeeds does not.
    let cancelled =
        t.post("/export/csv/request", Some(&ravi), json!({})).await.expect(202).body["task_id"].clone();
    let cancelled = cancelled.as_str().unwrap();
    t.post(&format!("/export/csv/cancel/{cancelled}"), Some(&ravi), json!({})).await.expect(200);
    // Jobs are pending.
    t.eventually("jobs are announced", async || number(t, "SELECT COUNT(*) AS n FROM jobs").await >= 3).await;
    scan_keys(t, seen).await;
    let worker = t.work();
    t.eventually("all jobs are done", async || {
        scan_keys(t, &mut BTreeSet::new()).await;
        number(t, "SELECT COUNT(*) AS n FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')")
            .await
            == 0
    })
    .await;
    scan_keys(t, seen).await;
    t.release(&asha, reservation).await.expect(200);
    let from = t.app.clock.now() + chrono::TimeDelta::hours(1);
    let until = from + chrono::TimeDelta::hours(2);
    let window = json!({ "spot_id": spots(t, lot).await[2], "parking_time": from, "leaving_time": until });
    let reserved =
        t.post("/reservations", Some(&ravi), window).await.expect(201).body["reservation"]["id"].clone();
    t.delete(&format!("/reservations/{reserved}"), Some(&ravi)).await.expect(200);
    t.post("/auth/login", None, json!({ "email": "nobody@example.com", "password": "wrong" }))
        .await
        .expect(401);
    t.get("/nowhere", None).await.expect(404);
    t.post("/auth/logout", Some(&ravi), json!({})).await.expect(200);
    read_all(t, &admin, &asha, lot).await;
    t.app.counters.flush().await;
    scan_keys(t, seen).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_redis_key_is_documented_and_bounded() {
    for engine in ENGINES {
        let (t, _redis) = TestApp::start_with_redis(engine).await;
        // The default rate limits, so that there are keys for them.
        let t = t.second_process(&[("RATE_LIMIT_DEFAULT", "600/60"), ("RATE_LIMIT_LOGIN", "10/60")]).await;
        let mut seen = BTreeSet::new();
        exercise_everything(&t, &mut seen).await;
        let mut endless = Vec::new();
        let waiting = async {
            // The keys of consumers get an expiry a second after they are created.
            loop {
                endless = scan_keys(&t, &mut seen).await;
                if endless.is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
        assert!(waited.is_ok(), "keys without an expiry: {endless:?}");
        // These exist only for moments.
        let brief = [
            "{queue}:active",
            "{queue}:signal",
            "{queue}:inflight:{consumer}",
            "{queue}:done",
            "{queue}:dead",
        ];
        let missing: Vec<_> = FAMILIES
            .iter()
            .map(|family| family.name)
            .filter(|name| !seen.contains(name) && !brief.contains(name))
            .collect();
        assert!(missing.is_empty(), "documented, but not in Redis: {missing:?}");
    }
}

/// Requests in which everything that the client can choose contains `word`.
async fn send_hostile_requests(t: &TestApp, asha: &Driver, admin: &Driver, lot: i64, word: &str) {
    let long = word.repeat(2000);
    for method in ["GET", "HEAD", "OPTIONS", "POST", word] {
        for path in [
            "/parking-lots".to_owned(),
            format!("/parking-lots/{lot}"),
            format!("/parking-lots/{word}"),
            format!("/{word}"),
            format!("//{word}/{word}"),
            format!("/users/{word}"),
            format!("/tasks/{word}"),
            format!("/parking-lots?{word}={word}"),
            format!("/parking-lots?cursor={word}"),
            format!("/parking-lots?x={long}"),
        ] {
            let request = t.request(method.parse().unwrap(), &path, Some(asha));
            t.send(request.header("x-request-id", word).header("user-agent", word)).await;
        }
    }
    t.get(&format!("/users?email={word}"), Some(admin)).await.expect(200);
    t.get(&format!("/users?username={word}"), Some(admin)).await.expect(200);
    t.post("/auth/login", None, json!({ "email": word, "password": word })).await.expect(401);
    t.send(t.request(reqwest::Method::GET, "/user-reports", None).bearer_auth(word)).await.expect(401);
}

#[testkit::both_databases]
async fn clients_cannot_invent_counter_names(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let names = async || {
        t.app.counters.flush().await;
        let prefix = t.app.redis.keys().counter("");
        let all = t.app.redis.query(all_keys).await.unwrap();
        all.into_iter()
            .filter_map(|(key, ..)| Some(key.strip_prefix(&prefix)?.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    send_hostile_requests(&t, &asha, &admin, lot, "ALPHA").await;
    let before = names().await;
    assert!(before.len() > 20 && before.contains("endpoint_calls:OTHER /parking-lots"), "{before:?}");
    for word in ["BETA", "GAMMA"] {
        send_hostile_requests(&t, &asha, &admin, lot, word).await;
    }
    assert_eq!(names().await, before);
    assert!(before.iter().all(|name| !name.contains("ALPHA")), "{before:?}");
}

/// Row 186 of the features: emptying a database loses what the table lists for it.
#[testkit::both_databases]
async fn redis_databases_keep_their_kinds_of_keys(t: TestApp) {
    let _ = (t.driver("Asha").await, t.admin().await);
    let asha = t.log_in("asha@example.com").await;
    t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
    t.app.counters.flush().await;
    let prefix = t.app.redis.keys().prefix();
    let mut of = BTreeMap::new();
    let databases =
        [t.app.redis.query(all_keys).await.unwrap(), t.app.redis.queue.query(all_keys).await.unwrap()];
    for (database, keys) in (0_u8..).zip(databases) {
        for key in keys.iter().filter_map(|(key, ..)| key.strip_prefix(&prefix)) {
            of.entry(family_of(database, key).expect("it is in the table").name).or_insert(database);
        }
    }
    assert_eq!((of["active_users"], of["count:{name}"], of["{queue}:data"]), (0, 0, 1), "{of:?}");
}

#[testkit::both_databases]
async fn totals_persist_and_user_sets_expire(t: TestApp) {
    let clock = shared::base::clock::Clock::fixed(crate::support::noon());
    let t = t.at(clock.clone()).await;
    let (admin, _) = (t.admin().await, t.driver("Asha").await);
    t.app.counters.flush().await;
    let keys = t.app.redis.keys();
    let (total, users) = (keys.counter("total_registrations"), keys.active_users());
    let active = async || {
        let (total, users) = (total.clone(), users.clone());
        let ask = async |mut redis: ConnectionManager| {
            Ok((redis.ttl(total).await?, redis.ttl(&users).await?, redis.zcard(users).await?))
        };
        let seen: (i64, i64, i64) = t.app.redis.query(ask).await.unwrap();
        seen
    };
    let (total_lives, users_live, members) = active().await;
    assert_eq!((total_lives, members), (-1, 2));
    assert!((12 * 3600 - 60..=12 * 3600).contains(&users_live), "{users_live}");
    // Users who were active too long ago are removed when another user becomes active.
    clock.advance(chrono::TimeDelta::hours(13));
    let admin = t.log_in(&admin.email).await;
    t.app.counters.flush().await;
    assert_eq!(active().await.2, 1);
    t.post("/admin/clear-cache", Some(&admin), json!({ "scope": ["counters"] })).await.expect(200);
    assert_eq!(t.app.counters.read(&["total_registrations"]).await.unwrap(), [0]);
}
