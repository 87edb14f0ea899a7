//! Rate limits: who shares a limit, what a 429 contains, and how limits behave without Redis.

use std::time::{Duration, Instant};

use devstack::Redis;
use serde_json::json;
use testkit::{Answer, Driver, Engine, TestApp};

use crate::support::at_once;

async fn app(limits: &[(&str, &str)]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, limits).await
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.headers[header].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_users_are_limited_to_50_an_hour() {
    let t = app(&[("RATE_LIMIT_USER_READS", "50/3600")]).await;
    let admin = t.admin().await;
    for call in 1..=50 {
        let path = if call % 2 == 0 { "/users".to_owned() } else { format!("/users/{}", admin.id) };
        let answer = t.get(&path, Some(&admin)).await.expect(200);
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 50 - call, "call {call}");
    }
    let refused = t.get("/users", Some(&admin)).await;
    refused.problem(429, "rate_limited");
    let wait = number(&refused, "retry-after");
    assert!((1..=72).contains(&wait), "{wait}");
    assert_eq!(refused.body["retry_after"], wait);
    assert_eq!(number(&refused, "x-ratelimit-limit"), 50);
    assert!(number(&refused, "x-ratelimit-reset") > 3500);
    assert_eq!(refused.headers["ratelimit-policy"], "\"user_reads\";q=50;w=3600");
    assert!(refused.headers["ratelimit"].to_str().unwrap().starts_with("\"user_reads\";r=0;t="));
    // Other users and other actions have separate limits.
    let asha = t.driver("Asha").await;
    t.get(&format!("/users/{}", asha.id), Some(&asha)).await.expect(200);
    t.get("/parking-lots", Some(&admin)).await.expect(200);
}

/// Defect 33: checking and counting are atomic.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_do_not_exceed_the_budget() {
    let t = app(&[("RATE_LIMIT_DEFAULT", "20/3600")]).await;
    let second = t.at(t.app.clock.clone()).await;
    let calls = (0..100).map(|call| {
        let request =
            if call % 2 == 0 { &t } else { &second }.request(reqwest::Method::GET, "/parking-lots", None);
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = at_once(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 80);
}

/// Two processes take calls in batches of up to ten.
#[tokio::test(flavor = "multi_thread")]
async fn batches_do_not_exceed_the_budget() {
    let t = app(&[("RATE_LIMIT_DEFAULT", "200/100")]).await;
    let second = t.second_process(&[]).await;
    let begun = Instant::now();
    let (mut allowed, mut rejected) = (0, 0);
    while rejected < 20 {
        let calls = [&t, &second, &t].map(|process| {
            let request = process.request(reqwest::Method::GET, "/parking-lots", None);
            async move { request.send().await.unwrap().status().as_u16() }
        });
        for status in at_once(calls).await {
            if status == 200 { allowed += 1 } else { rejected += 1 }
        }
    }
    let refilled = begun.elapsed().as_millis() / 500;
    assert!(allowed <= 200 + refilled, "{allowed} calls, although {refilled} were refilled");
    assert!(allowed >= 180, "{allowed} calls: each process may lose a batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_refills_gradually() {
    let t = app(&[("RATE_LIMIT_DEFAULT", "4/2")]).await;
    for _ in 0..4 {
        t.get("/parking-lots", None).await.expect(200);
    }
    t.get("/parking-lots", None).await.problem(429, "rate_limited");
    tokio::time::sleep(Duration::from_millis(600)).await;
    t.get("/parking-lots", None).await.expect(200);
    t.get("/parking-lots", None).await.problem(429, "rate_limited");
    // A full refill takes two seconds; every half second gives back one call.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(510)).await;
    }
    let answer = t.get("/parking-lots", None).await.expect(200);
    assert_eq!(number(&answer, "x-ratelimit-remaining"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_and_registration_limits_per_address_and_account() {
    let t = app(&[
        ("RATE_LIMIT_LOGIN", "3/60"),
        ("RATE_LIMIT_REGISTER", "2/60"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let login = async |from: &str, email: &str| {
        let body = json!({ "email": email, "password": "wrong password" });
        let request = t.request(reqwest::Method::POST, "/auth/login", None).header("x-forwarded-for", from);
        t.send(request.json(&body)).await.status.as_u16()
    };
    assert_eq!(login("198.51.100.1", "a@example.com").await, 401);
    assert_eq!(login("198.51.100.1", "b@example.com").await, 401);
    assert_eq!(login("198.51.100.1", "c@example.com").await, 401);
    assert_eq!(login("198.51.100.1", "d@example.com").await, 429, "the limit of the address is used up");
    for _ in 0..3 {
        assert_eq!(login("198.51.100.2", "A@example.com ").await, 401);
    }
    assert_eq!(login("198.51.100.2", "a@example.com").await, 429, "the limit of the account from there");
    assert_eq!(login("198.51.100.4", "a@example.com").await, 401, "elsewhere it has another one");
    assert_eq!(login("2001:db8:1:2::1", "e@example.com").await, 401);
    assert_eq!(login("2001:db8:1:2::2", "f@example.com").await, 401);
    assert_eq!(login("2001:db8:1:2:ffff::", "g@example.com").await, 401);
    assert_eq!(login("2001:db8:1:2::4", "h@example.com").await, 429, "a /64 is one customer");
    assert_eq!(login("203.0.113.9, 127.0.0.1", "i@example.com").await, 401);

    let register = async |name: &str| {
        let body = json!({ "username": name, "email": format!("{name}@example.com"), "password": testkit::PASSWORD });
        t.post("/auth/register", None, body).await
    };
    register("one").await.expect(201);
    register("two").await.expect(201);
    register("three").await.problem(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_spoof_their_rate_limit_key() {
    let t = app(&[("RATE_LIMIT_DEFAULT", "3/3600")]).await;
    for call in 0..3 {
        let request = t.request(reqwest::Method::GET, "/parking-lots", None);
        let request = request.header("x-forwarded-for", format!("198.51.100.{call}"));
        t.send(request.bearer_auth(format!("x.y.{call}"))).await.expect(200);
    }
    t.get("/parking-lots", None).await.problem(429, "rate_limited");
    assert_eq!(t.app.counters.read(&["rate_limit_violations"]).await.unwrap(), [1]);
    for _ in 0..10 {
        t.get("/health/live", None).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_login_budget_is_halved() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url(0);
    let t =
        app(&[("CACHE_REDIS_URL", &url), ("RATE_LIMIT_LOGIN", "6/60"), ("RATE_LIMIT_DEFAULT", "2/60")]).await;
    redis.kill().await.unwrap();
    let login = json!({ "email": "nobody@example.com", "password": "wrong password" });
    for _ in 0..3 {
        t.post("/auth/login", None, login.clone()).await.problem(401, "invalid_credentials");
    }
    t.post("/auth/login", None, login).await.problem(429, "rate_limited");
    for _ in 0..5 {
        t.get("/parking-lots", None).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_address_counts_only_behind_trusted_proxies() {
    let t = app(&[("RATE_LIMIT_LOGIN", "3/60"), ("TRUSTED_PROXIES", "127.0.0.1, 198.51.100.100")]).await;
    let mut call = 0;
    let mut login = async |lines: &[&str]| {
        call += 1;
        let body = json!({ "email": format!("nobody{call}@example.com"), "password": "wrong password" });
        let request = t.request(reqwest::Method::POST, "/auth/login", None).json(&body);
        let request = lines.iter().fold(request, |request, line| request.header("x-forwarded-for", *line));
        t.send(request).await.status.as_u16()
    };
    // Clients' own values come before the one that the proxy appends: another hop, an invalid value, a separate
    // header line.
    assert_eq!(login(&["203.0.113.1, x, 198.51.100.9"]).await, 401);
    assert_eq!(login(&["203.0.113.2", "198.51.100.9, 198.51.100.100"]).await, 401);
    assert_eq!(login(&["203.0.113.3, ::ffff:198.51.100.9"]).await, 401);
    assert_eq!(login(&["203.0.113.4, 198.51.100.9"]).await, 429, "all requests came from 198.51.100.9");
    assert_eq!(login(&["203.0.113.4, 198.51.100.8"]).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_trusted_network_have_own_limits() {
    let t =
        app(&[("RATE_LIMIT_LOGIN", "1/3600"), ("TRUSTED_PROXIES", "127.0.0.0/8, ::1/128, 172.16.0.0/12")])
            .await;
    let mut call = 0;
    let mut login = async |header: &str, value: &str| {
        call += 1;
        let body = json!({ "email": format!("nobody{call}@example.com"), "password": "wrong password" });
        let request = t.request(reqwest::Method::POST, "/auth/login", None).json(&body).header(header, value);
        t.send(request).await.status.as_u16()
    };
    for client in 1..=14 {
        assert_eq!(login("x-forwarded-for", &format!("203.0.113.{client}:50007, 172.20.0.3:80")).await, 401);
    }
    assert_eq!(
        login("x-forwarded-for", "203.0.113.7:50008").await,
        429,
        "the port is no part of the address"
    );
    assert_eq!(login("x-forwarded-for", "\"[::ffff:203.0.113.7]:50009\", ::ffff:172.20.0.3").await, 429);
    assert_eq!(login("forwarded", "for=192.0.2.1, For=\"203.0.113.7:1\";proto=https").await, 429);
    assert_eq!(login("forwarded", "for=\"[2001:db8::7]:4711\", for=172.16.0.1").await, 401);
    assert_eq!(login("x-forwarded-for", "2001:db8::8").await, 429, "the same /64");
    assert_eq!(login("x-forwarded-for", "203.0.113.20, unknown").await, 401, "counts as the proxy");
    assert_eq!(login("x-forwarded-for", "203.0.113.21, unknown").await, 429);
}

/// A driver, and the same driver with a token of an ended session.
async fn with_an_ended_session(t: &TestApp) -> (Driver, Driver) {
    let asha = t.driver("Asha").await;
    let ended = t.log_in(&asha.email).await;
    t.post("/auth/logout", Some(&ended), json!({})).await.expect(200);
    (asha, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn head_counts_as_get_and_ended_tokens_spend_nothing() {
    let t = app(&[("RATE_LIMIT_USER_READS", "2/3600")]).await;
    let (asha, again) = with_an_ended_session(&t).await;
    let path = format!("/users/{}", asha.id);
    for _ in 0..3 {
        let answer = t.get(&path, Some(&again)).await;
        assert!([401, 429].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    t.send(t.request(reqwest::Method::HEAD, &path, Some(&asha))).await.expect(200);
    t.get(&path, Some(&asha)).await.expect(200);
    t.get(&path, Some(&asha)).await.problem(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn lot_reads_have_a_separate_budget_without_session_lookup() {
    let t = app(&[("RATE_LIMIT_DEFAULT", "4/3600")]).await;
    let (asha, stolen) = with_an_ended_session(&t).await;
    for path in ["/parking-lots", "/parking-lots/1", "/parking-lots/1/available-spots", "/parking-lots"] {
        assert_ne!(t.get(path, Some(&stolen)).await.status, 429, "{path}");
    }
    t.get("/parking-lots", Some(&stolen)).await.problem(429, "rate_limited");
    t.get("/parking-lots", Some(&asha)).await.expect(200);
    t.get("/parking-lots", None).await.expect(200);
    t.get("/user/activity", Some(&asha)).await.expect(200);
}
