//! What caches hold, and what they spare the database.

use chrono::TimeDelta;
use futures::StreamExt;
use redis::AsyncCommands;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Engine, TestApp};
use uuid::Uuid;

use crate::support::{change, noon, number};

/// Transactions of this database so far, as PostgreSQL counts them: outside of one, each statement is one.
async fn committed(t: &TestApp) -> i64 {
    // The one connection hands in what it has counted before it is asked.
    change(t, "SELECT pg_stat_force_next_flush()", []).await.unwrap();
    number(t, "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cached_asks_the_database_nothing_not_even_who_is_asking() {
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

testkit::on_both! {
    async fn a_session_in_redis_holds_ids_and_a_role_and_ends_by_itself(t: TestApp) {
        let clock = Clock::fixed(noon());
        let t = t.at(clock.clone()).await;
        let asha = t.driver("Asha").await;
        let sessions = t.get("/auth/sessions", Some(&asha)).await.expect(200).body;
        let id: Uuid = sessions["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
        let key = t.app.redis.keys().session(id);
        let read = async |mut redis: redis::aio::ConnectionManager| Ok((redis.get(&key).await?, redis.ttl(&key).await?));
        let (kept, seconds): (String, i64) = t.app.redis.ask(read).await.unwrap();
        assert!((1..=12 * 3600).contains(&seconds), "{seconds}");
        let kept: Value = serde_json::from_str(&kept).unwrap();
        let identity = json!({ "user_id": asha.id, "is_admin": false, "session_id": id });
        assert_eq!(kept, json!({ "identity": identity, "seen_at": "2026-11-20T12:00:00Z" }));
        clock.advance(TimeDelta::hours(12));
        t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_as_long_as_their_setting_says() {
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
        let before = kept(&t).await;
        t.get(&path, Some(&admin)).await.expect(200);
        let new: Vec<_> =
            kept(&t).await.into_iter().filter(|(key, _)| !before.iter().any(|(old, _)| old == key)).collect();
        assert!(
            matches!(new[..], [(_, seconds)] if (longest * 9 / 10 - 5..=longest).contains(&seconds)),
            "{path}: {new:?}"
        );
    }
}

/// The answers that are kept, and for how many seconds more.
async fn kept(t: &TestApp) -> Vec<(String, i64)> {
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
    t.app.redis.ask(look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_that_is_cached_otherwise_comes_from_the_database() {
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
