//! Without Redis, users can still log in, use the API and log out, only more slowly.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use devstack::{ChaosProxy, Mode, Redis};
use serde_json::json;
use shared::base::clock::Clock;
use testkit::TestApp;

use crate::support::{ENGINES, noon, shown};

/// Registers, logs in, books, releases and logs out, all within `limit`.
async fn visit(t: &TestApp, name: &str, limit: Duration) {
    let begun = Instant::now();
    let asha = t.driver(name).await;
    let again = t.log_in(&asha.email).await;
    let lot = t.lot(1).await;
    let reservation = t.book(&asha, lot).await;
    t.release(&asha, reservation).await.expect(200);
    t.get("/auth/sessions", Some(&again)).await.expect(200);
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
    t.get("/auth/sessions", Some(&again)).await.expect(200);
    t.get("/health/ready", None).await.expect(200);
    assert!(begun.elapsed() < limit, "ten requests took {:?}", begun.elapsed());
}

/// Defect 21.
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_while_redis_refuses_connections() {
    for engine in ENGINES {
        let (t, redis) = TestApp::start_with_redis(engine).await;
        let before = t.driver("Before").await;
        t.get("/auth/sessions", Some(&before)).await.expect(200);
        redis.kill().await.unwrap();
        t.get("/auth/sessions", Some(&before)).await.expect(200);
        visit(&t, "Asha", Duration::from_secs(10)).await;
    }
}

/// Defect 21.
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_while_redis_hangs() {
    let (t, redis) = TestApp::start_with_redis(testkit::Engine::Sqlite).await;
    let before = t.driver("Before").await;
    t.get("/auth/sessions", Some(&before)).await.expect(200);
    redis.pause().unwrap();
    visit(&t, "Asha", Duration::from_secs(20)).await;
    redis.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_starts_without_redis_serves() {
    let redis = Redis::start().await.unwrap();
    redis.kill().await.unwrap();
    let t = TestApp::start_with(testkit::Engine::Sqlite, &[("REDIS_PORT", &redis.port().to_string())]).await;
    visit(&t, "Asha", Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_during_redis_outage_stays_effective() {
    for engine in ENGINES {
        let (t, mut redis) = TestApp::start_with_redis(engine).await;
        let asha = t.driver("Asha").await;
        t.get("/auth/sessions", Some(&asha)).await.expect(200);
        redis.kill().await.unwrap();
        t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
        let ended = Instant::now();
        redis.restart().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(ended.elapsed())).await;
        for _ in 0..5 {
            t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
        }
    }
}

#[testkit::both_databases]
async fn late_redis_write_does_not_revive_a_session(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let driver = t.driver("Asha").await;
    let answer = t.get("/auth/sessions", Some(&driver)).await.expect(200);
    let session: uuid::Uuid = answer.body["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
    let key = t.app.redis.keys().session(session);
    let read = redis::Cmd::get(&key);
    let kept: String = t.app.redis.query(async |mut redis| read.query_async(&mut redis).await).await.unwrap();
    t.post("/auth/logout", Some(&driver), serde_json::json!({})).await.expect(200);
    clock.advance(TimeDelta::milliseconds(1_100));
    let write = redis::Cmd::set_ex(&key, kept, 60);
    let _: () = t.app.redis.query(async |mut redis| write.query_async(&mut redis).await).await.unwrap();
    t.get("/auth/sessions", Some(&driver)).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_redis_never_serves_stale_answers() {
    for engine in ENGINES {
        let (t, redis) = TestApp::start_with_redis(engine).await;
        let other = t.second_process(&[]).await;
        let asha = t.driver("Asha").await;
        let lot = t.lot(3).await;
        let free = async |t: &TestApp| {
            t.get(&format!("/parking-lots/{lot}"), None).await.expect(200).body["lot"]["available_slots"]
                .clone()
        };
        assert_eq!((free(&t).await, free(&other).await), (json!(3), json!(3)), "cached now");
        redis.configure("maxmemory", "1").await.unwrap();
        let reservation = t.book(&asha, lot).await;
        assert_eq!(free(&t).await, 2);
        shown(json!(2), async || free(&other).await).await;
        t.release(&asha, reservation).await.expect(200);
        assert_eq!(free(&t).await, 3);
        shown(json!(3), async || free(&other).await).await;
        t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
        visit(&other, "Ravi", Duration::from_secs(10)).await;
        redis.configure("maxmemory", "0").await.unwrap();
        t.book(&asha, lot).await;
        assert_eq!(free(&t).await, 2);
        shown(json!(2), async || free(&other).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_outage_delays_a_call_only_once() {
    let (t, redis) = TestApp::start_with_redis(testkit::Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let task =
        t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202).body["task_id"].clone();
    let task = format!("/tasks/{}", task.as_str().unwrap());
    t.get(&task, Some(&asha)).await.expect(200);
    redis.pause().unwrap();
    let begun = Instant::now();
    t.get(&task, Some(&asha)).await.expect(200);
    let first = begun.elapsed();
    assert!((400..950).contains(&first.as_millis()), "the limit, the session and the status took {first:?}");
    let begun = Instant::now();
    for _ in 0..20 {
        t.get(&task, Some(&asha)).await.expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "later requests do not wait: {:?}", begun.elapsed());
    redis.resume().unwrap();
    let back = Instant::now();
    testkit::eventually("Redis is used again", || async { t.app.redis.ping_all().await.is_ok() }).await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_redis_replies_never_mix_up_callers() {
    let redis = Redis::start().await.unwrap();
    let proxy = ChaosProxy::start(([127, 0, 0, 1], redis.port()).into()).await.unwrap();
    let port = proxy.addr().port().to_string();
    let t = TestApp::start_with(testkit::Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    let echo = async |text: String| -> redis::RedisResult<String> {
        t.app.redis.query(async |mut redis| redis::cmd("ECHO").arg(text).query_async(&mut redis).await).await
    };
    assert_eq!(echo("before".into()).await.unwrap(), "before");
    proxy.set(Mode::BlackHole).await.unwrap();
    assert!(echo("lost".into()).await.unwrap_err().is_timeout());
    proxy.set(Mode::Pass).await.unwrap();
    testkit::eventually("Redis is used again", || async { t.app.redis.ping().await.is_ok() }).await;
    for number in 0..10 {
        assert_eq!(echo(number.to_string()).await.unwrap(), number.to_string());
    }
}
