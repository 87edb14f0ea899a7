//! Limits on guessing passwords, and that nobody can lock the owner of an account out by guessing.

use hmac::Mac;
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Engine, PASSWORD, TestApp};

use crate::support::number;

const ATTACKER: &str = "198.51.100.1";
const HOME: &str = "203.0.113.7";
const WRONG: &str = "Wrong-horse-1";

/// The part of an hour that one failure of an account uses, in microseconds.
const FAILURE: u64 = 36_000_000;

fn settings(limit: &'static str) -> [(&'static str, &'static str); 2] {
    [("RATE_LIMIT_LOGIN", limit), ("TRUSTED_PROXIES", "127.0.0.1")]
}

async fn app(limit: &'static str) -> TestApp {
    TestApp::start_with(Engine::Sqlite, &settings(limit)).await
}

async fn post_from(t: &TestApp, address: &str, path: &str, body: Value) -> Answer {
    t.send(t.request(Method::POST, path, None).header("x-forwarded-for", address).json(&body)).await
}

async fn log_in(t: &TestApp, address: &str, email: &str, password: &str) -> Answer {
    post_from(t, address, "/auth/login", json!({ "email": email, "password": password })).await
}

async fn register(t: &TestApp, address: &str, name: &str) {
    let body = json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
    post_from(t, address, "/auth/register", body).await.expect(201);
}

/// The key of the failures of an account.
fn ceiling(t: &TestApp, email: &str) -> String {
    let key = t.app.keys.lasting(b"parkade: limits on guessing, 1").unwrap();
    let account = hex::encode(&key.sign(email.as_bytes()).unwrap().finalize().into_bytes()[..12]);
    t.app.redis.keys().rate_limit("login", &format!("account:{account}"))
}

async fn used(t: &TestApp, key: &str) -> u64 {
    t.app.redis.query(async |mut redis| redis.get(key).await).await.unwrap()
}

/// As if the account had failed a hundred times.
async fn use_up_the_ceiling(t: &TestApp, email: &str) {
    let key = ceiling(t, email);
    let full = (used(t, &key).await + 99 * FAILURE).to_string();
    let set: redis::RedisResult<()> =
        t.app.redis.query(async |mut redis| redis.set_ex(&key, full, 3600).await).await;
    set.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_lock_the_owner_out() {
    let t = app("3/3600").await;
    let second = t.second_process(&[]).await;
    register(&t, "192.0.2.1", "asha").await;
    for process in [&t, &second, &t] {
        log_in(process, ATTACKER, "Asha@Example.com", WRONG).await.problem(401, "invalid_credentials");
    }
    log_in(&second, ATTACKER, "asha@example.com", PASSWORD).await.problem(429, "rate_limited");
    for process in [&t, &second, &t, &second] {
        log_in(process, HOME, "asha@example.com", PASSWORD).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_networks_have_a_separate_limit() {
    let t = app("2/3600").await;
    for (registered_at, now_at) in [(HOME, HOME), ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9")] {
        let name = format!("asha{}", registered_at.len());
        register(&t, registered_at, &name).await;
        for stranger in ["nobody1@example.com", "nobody2@example.com"] {
            log_in(&t, now_at, stranger, WRONG).await.problem(401, "invalid_credentials");
        }
        log_in(&t, now_at, "nobody3@example.com", WRONG).await.problem(429, "rate_limited");
        log_in(&t, now_at, &format!("{name}@example.com"), PASSWORD).await.expect(200);
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM known_addresses WHERE hash LIKE '%.%'").await, 0);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM known_addresses WHERE LENGTH(hash) = 64").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_failures_make_unknown_networks_wait() {
    let t = app("1000/60").await;
    register(&t, HOME, "asha").await;
    log_in(&t, ATTACKER, "asha@example.com", WRONG).await.problem(401, "invalid_credentials");
    use_up_the_ceiling(&t, "asha@example.com").await;
    let second = t.second_process(&[]).await;
    for process in [&t, &second] {
        let refused = log_in(process, "198.51.100.2", "asha@example.com", PASSWORD).await;
        refused.problem(429, "rate_limited");
        let wait = refused.body["retry_after"].as_u64().unwrap();
        assert!((1..=36).contains(&wait), "{wait}");
        log_in(process, HOME, "asha@example.com", PASSWORD).await.expect(200);
    }
    let told = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-guessing-notice'";
    assert_eq!(number(&t, told).await, 1, "the owner is told once");
    log_in(&t, "198.51.100.2", "ravi@example.com", WRONG).await.problem(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_adds_ten_failures_to_an_account() {
    let t = app("1000/60").await;
    for _ in 0..12 {
        log_in(&t, ATTACKER, "asha@example.com", WRONG).await.problem(401, "invalid_credentials");
    }
    let key = ceiling(&t, "asha@example.com");
    let ten = used(&t, &key).await;
    log_in(&t, "198.51.100.2", "asha@example.com", WRONG).await.problem(401, "invalid_credentials");
    let eleven = used(&t, &key).await;
    assert_eq!(eleven - ten, FAILURE);
    let now = u64::try_from(t.app.clock.now().timestamp_micros()).unwrap();
    assert!((9 * FAILURE..=10 * FAILURE).contains(&(ten - now)), "{}", ten - now);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_accounts_are_limited_like_known_ones() {
    let t = app("1000/60").await;
    log_in(&t, ATTACKER, "nobody@example.com", WRONG).await.problem(401, "invalid_credentials");
    use_up_the_ceiling(&t, "nobody@example.com").await;
    log_in(&t, ATTACKER, "nobody@example.com", WRONG).await.problem(429, "rate_limited");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_lock_the_owner_out_without_redis() {
    let redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let settings =
        [("RATE_LIMIT_LOGIN", "4/3600"), ("TRUSTED_PROXIES", "127.0.0.1"), ("REDIS_PORT", port.as_str())];
    let t = TestApp::start_with(Engine::Sqlite, &settings).await;
    register(&t, "192.0.2.1", "asha").await;
    redis.kill().await.unwrap();
    for _ in 0..2 {
        log_in(&t, ATTACKER, "asha@example.com", WRONG).await.problem(401, "invalid_credentials");
    }
    log_in(&t, ATTACKER, "asha@example.com", PASSWORD).await.problem(429, "rate_limited");
    for _ in 0..3 {
        log_in(&t, HOME, "asha@example.com", PASSWORD).await.expect(200);
    }
}
