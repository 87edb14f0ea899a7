//! What the caches store, and which database queries they save.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::StreamExt;
use redis::AsyncCommands;
use serde_json::{Value, json};
use shared::{base::clock::Clock, platform::cache::Group};
use testkit::{Engine, Processes, TestApp};
use uuid::Uuid;

use crate::support::{Client, at_once, change, noon, number, shown};

/// Transactions of this database so far, as PostgreSQL counts them. A statement outside a transaction counts as one.
pub(crate) async fn committed(t: &TestApp) -> i64 {
    // Flushes the statistics of the single connection.
    change(t, "SELECT pg_stat_force_next_flush()", []).await.unwrap();
    number(t, "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_reads_run_no_sql() {
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_CONNECTIONS", "1")]).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    for (path, who) in [
        ("/parking-lots".to_owned(), None),
        (format!("/parking-lots/{lot}"), Some(&asha)),
        (format!("/parking-lots/{lot}/available-spots"), None),
        ("/users".to_owned(), Some(&admin)),
        (format!("/users/{}", asha.id), Some(&asha)),
        (format!("/users/{}/reservations", asha.id), Some(&asha)),
    ] {
        let first = t.get(&path, who).await.expect(200);
        let (mut with, mut without) = (i64::MAX, i64::MAX);
        for _ in 0..5 {
            let begun = committed(&t).await;
            without = without.min(committed(&t).await - begun);
            let begun = committed(&t).await;
            for _ in 0..10 {
                assert_eq!(t.get(&path, who).await.expect(200).text, first.text);
            }
            with = with.min(committed(&t).await - begun);
        }
        assert_eq!(with, without, "{path}");
    }
}

#[testkit::both_databases]
async fn cached_session_holds_ids_and_role_and_expires(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let sessions = t.get("/auth/sessions", Some(&asha)).await.expect(200).body;
    let id: Uuid = sessions["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
    let key = t.app.redis.keys().session(id);
    let read =
        async |mut redis: redis::aio::ConnectionManager| Ok((redis.get(&key).await?, redis.ttl(&key).await?));
    let (kept, seconds): (String, i64) = t.app.redis.query(read).await.unwrap();
    assert!((1..=12 * 3600).contains(&seconds), "{seconds}");
    let (_mac, kept) = kept.split_at(64);
    let kept: Value = serde_json::from_str(kept).unwrap();
    let identity = json!({ "user_id": asha.id, "is_admin": false, "is_attendant": false, "must_enrol": false, "session_id": id });
    assert_eq!(kept, json!({ "identity": identity, "seen_at": "2026-11-20T12:00:00Z" }));
    clock.advance(TimeDelta::hours(12));
    t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_ttls_follow_their_settings() {
    let settings = [
        ("CACHE_PARKING_TTL", "100"),
        ("CACHE_USER_TTL", "200"),
        ("CACHE_RESERVATIONS_TTL", "300"),
        ("CACHE_DEFAULT_TTL", "400"),
    ];
    let t = TestApp::start_with(Engine::Sqlite, &settings).await;
    let (admin, lot) = (t.admin().await, t.lot(1).await);
    for (path, longest) in [
        ("/parking-lots".to_owned(), 100),
        (format!("/parking-lots/{lot}"), 100),
        (format!("/parking-lots/{lot}/available-spots"), 100),
        ("/users".to_owned(), 200),
        (format!("/users/{}", admin.id), 200),
        (format!("/users/{}/reservations", admin.id), 300),
        ("/reports".to_owned(), 400),
        ("/user-reports".to_owned(), 400),
    ] {
        let before = cached_answers(&t).await;
        t.get(&path, Some(&admin)).await.expect(200);
        let new: Vec<_> = cached_answers(&t)
            .await
            .into_iter()
            .filter(|(key, _)| !before.iter().any(|(old, _)| old == key))
            .collect();
        assert!(
            matches!(new[..], [(_, seconds)] if (longest * 9 / 10 - 5..=longest).contains(&seconds)),
            "{path}: {new:?}"
        );
    }
}

/// The cached answers with their remaining lifetime in seconds.
pub(crate) async fn cached_answers(t: &TestApp) -> Vec<(String, i64)> {
    let pattern = t.app.redis.keys().cached("*");
    let look = async |mut redis: redis::aio::ConnectionManager| {
        let keys: Vec<String> = redis
            .scan_match(&pattern)
            .await?
            .map(|key: redis::RedisResult<String>| key.unwrap())
            .collect()
            .await;
        let mut kept = Vec::new();
        for key in keys {
            let seconds = redis.ttl(&key).await?;
            kept.push((key, seconds));
        }
        Ok(kept)
    };
    t.app.redis.query(look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_reads_come_from_sql() {
    let redis = devstack::Redis::start().await.unwrap();
    let t = TestApp::start_with(Engine::Sqlite, &[("CACHE_REDIS_URL", &redis.url(0))]).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    t.book(&asha, lot).await;
    let paths = [
        "/parking-lots".to_owned(),
        format!("/parking-lots/{lot}/available-spots"),
        "/users".to_owned(),
        format!("/users/{}/reservations", asha.id),
        "/user-booking-history".to_owned(),
        "/reports".to_owned(),
    ];
    let seen = async || {
        let mut seen = Vec::new();
        for path in &paths {
            let mut body = t.get(path, Some(&admin)).await.expect(200).body;
            let counters = body["data"].as_object_mut().and_then(|data| data.remove("redis_analytics"));
            assert_eq!(counters.is_some(), path == "/reports");
            seen.push(body);
        }
        seen
    };
    let with = seen().await;
    redis.kill().await.unwrap();
    assert_eq!(seen().await, with);
}

/// Under load, invalidated entries need no warming: in each process the first reader loads the entry, and all others
/// share the result. A lot that was just created is included.
#[testkit::both_databases]
async fn concurrent_misses_load_once_per_process(t: TestApp) {
    let t = Arc::new(t);
    let processes = [t.clone(), Arc::new(t.second_process(&[]).await)];
    let rounds = 10;
    for lots in 1..=rounds {
        t.lot(1).await;
        let readers = (0..100).map(|reader| {
            let process = processes[reader % 2].clone();
            async move {
                let seen = process.get("/parking-lots", None).await.expect(200).body["lots"]
                    .as_array()
                    .unwrap()
                    .len();
                (reader, seen)
            }
        });
        let seen = at_once(readers.collect::<Vec<_>>()).await;
        // The other process may not have heard of the latest lot.
        assert!(seen.iter().all(|(reader, seen)| seen + reader % 2 >= lots && *seen <= lots), "{seen:?}");
    }
    let misses = async || {
        for process in &processes {
            process.app.counters.flush().await;
        }
        t.app.counters.read(&["cache_misses:parking_lots"]).await.unwrap()[0]
    };
    // Counts are written with a delay.
    t.eventually("the misses are counted", async || misses().await >= 10).await;
    let loads = misses().await;
    assert!(
        loads <= 20,
        "the database was read {loads} times for 1,000 readers in two processes after ten writes"
    );
}

#[testkit::both_databases]
async fn lot_list_is_warmed_at_start(t: TestApp) {
    t.lot(3).await;
    let (_api, base) = Processes::of(&t, &[]).api().await;
    let key = t.app.redis.keys().cached("parking_lots:all");
    t.eventually("the list is cached", async || {
        t.app.redis.query(async |mut redis| redis.exists::<_, bool>(&key).await).await.unwrap()
    })
    .await;
    Client::of(&base).get("/parking-lots", "").await;
    let counted = ["cache_misses:parking_lots", "cache_hits:parking_lots"];
    t.eventually("the first miss is counted", async || {
        t.app.counters.read(&counted).await.unwrap() == [1, 1]
    })
    .await;
}

#[testkit::both_databases]
async fn disabled_cache_still_invalidates_other_processes(t: TestApp) {
    let without = t.second_process(&[("CACHE_ENABLED", "false")]).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let price = async |t: &TestApp| {
        t.get(&format!("/parking-lots/{lot}"), Some(&asha)).await.expect(200).body["lot"]["price"].clone()
    };
    assert_eq!(price(&without).await, 25.5);
    assert!(cached_answers(&without).await.is_empty());
    let sessions = without.get("/auth/sessions", Some(&asha)).await.expect(200).body;
    assert!(sessions["sessions"][0]["last_active_at"].is_null());
    assert_eq!(price(&t).await, 25.5);
    without.put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": 7 })).await.expect(200);
    assert_eq!(price(&without).await, 7.0);
    shown(json!(7.0), async || price(&t).await).await;
    without.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    without.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
    t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_hits_misses_and_errors_are_counted_by_kind() {
    let (t, mut redis) = TestApp::start_with_redis(Engine::Sqlite).await;
    t.lot(1).await;
    let (api, base) = Processes::of(&t, &[("LOG_LEVEL", "debug")]).api().await;
    let client = Client::of(&base);
    let line = |what: &str| {
        let log = api.log();
        log.lines().any(|line| line.contains(what) && line.contains("parking_lot:1"))
    };
    client.get("/parking-lots/1", "").await;
    t.eventually("a miss is logged", async || line("cache MISS")).await;
    client.get("/parking-lots/1", "").await;
    t.eventually("a hit is logged", async || line("cache HIT")).await;
    redis.kill().await.unwrap();
    t.eventually("the lost connection is logged", async || {
        client.get("/parking-lots/1", "").await;
        line("cache unavailable")
    })
    .await;
    redis.restart().await.unwrap();
    let names = ["cache_hits:parking_lot", "cache_misses:parking_lot", "cache_errors:parking_lot"];
    t.eventually("all three are counted", async || {
        // Counts that waited for Redis are written together with the next ones.
        client.get("/health/live", "").await;
        t.app.counters.read(&names).await.is_ok_and(|counts| counts.iter().all(|count| *count > 0))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_is_cached() {
    let t = Arc::new(TestApp::start(Engine::Sqlite).await);
    let admin = t.admin().await;
    let readers = (0..50).map(|_| {
        let (t, admin) = (t.clone(), admin.clone());
        async move { t.get("/admin/redis-dashboard", Some(&admin)).await.expect(200).text }
    });
    let seen = at_once(readers.collect::<Vec<_>>()).await;
    assert!(seen.iter().all(|text| *text == seen[0]));
    let key = t.app.redis.keys().cached("dashboard:redis");
    let lives: i64 = t.app.redis.query(async |mut redis| redis.pttl(key).await).await.unwrap();
    assert!((1..=2000).contains(&lives), "{lives}");
    t.app.cache.invalidate(&[Group::Everything]).await;
    assert_ne!(t.get("/admin/redis-dashboard", Some(&admin)).await.expect(200).text, seen[0]);
}
