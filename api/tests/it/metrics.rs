//! Prometheus metrics of an API process: they match the requests made, and unknown paths do not add series.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use testkit::{Engine, PASSWORD, Processes, TestApp};

use crate::support::Client;

/// Every sample by name and labels.
async fn scrape(address: &str) -> BTreeMap<String, f64> {
    let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    let text = answer.text().await.unwrap();
    let figures = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read =
        |line: &str| line.rsplit_once(' ').map(|(name, figure)| (name.to_owned(), figure.parse().unwrap()));
    figures.map(|line| read(line).unwrap()).collect()
}

#[testkit::both_databases]
async fn metrics_count_requests_without_new_series_for_strangers(t: TestApp) {
    let lot = t.lot(5).await;
    let address = format!("127.0.0.1:{}", devstack::free_port().unwrap());
    let limit = ("RATE_LIMIT_REGISTER", "2/3600");
    let (process, base) = Processes::of(&t, &[("METRICS_ADDR", &address), limit]).api().await;
    let client = Client::of(&base);
    let at_first = scrape(&address).await;
    assert_eq!(at_first["parkade_events_total{event=\"logins\"}"], 0.0, "the counter starts at zero");

    let form = json!({ "username": "Asha", "email": "asha@example.com", "password": PASSWORD });
    let (_, body) = client.post("/auth/register", "", form.clone()).await;
    let token = body["token"].as_str().unwrap();
    assert_eq!(client.post("/auth/register", "", form.clone()).await.0, 409);
    assert_eq!(client.post("/auth/register", "", form).await.0, 429);
    for password in [PASSWORD, "wrong-Horse-1", "wrong-Horse-2"] {
        client.post("/auth/login", "", json!({ "email": "asha@example.com", "password": password })).await;
    }
    let (status, body) = client.post("/booking/book-spot", token, json!({ "lot_id": lot })).await;
    assert_eq!(status, 201, "{body}");
    // Both mounts report the same route.
    let root = Client::of(base.trim_end_matches("/api"));
    for client in [&client, &client, &root] {
        assert_eq!(client.get(&format!("/parking-lots/{lot}"), token).await.0, 200);
    }
    t.eventually("the confirmation is announced", async || {
        scrape(&address).await["parkade_jobs_announced_total{queue=\"mail\"}"] == 2.0
    })
    .await;
    let figures = scrape(&address).await;
    let of = |route: &str, method: &str, status: &str| {
        format!("parkade_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
    };
    for (name, expected) in [
        (of("/auth/register", "POST", "2xx"), 1.0),
        (of("/auth/register", "POST", "4xx"), 2.0),
        (of("/auth/login", "POST", "4xx"), 2.0),
        (of("/parking-lots/{id}", "GET", "2xx"), 3.0),
        (
            "parkade_http_request_duration_seconds_count{method=\"GET\",route=\"/parking-lots/{id}\"}".into(),
            3.0,
        ),
        ("parkade_http_requests_in_flight".into(), 0.0),
        ("parkade_events_total{event=\"logins\"}".into(), 1.0),
        ("parkade_events_total{event=\"logins_refused\"}".into(), 2.0),
        ("parkade_events_total{event=\"registrations\"}".into(), 1.0),
        ("parkade_events_total{event=\"reservations\"}".into(), 1.0),
        ("parkade_rate_limited_total{action=\"register\"}".into(), 1.0),
        ("parkade_cache_requests_total{group=\"parking_lot\",outcome=\"misses\"}".into(), 1.0),
        ("parkade_cache_requests_total{group=\"parking_lot\",outcome=\"hits\"}".into(), 2.0),
        ("parkade_redis_away".into(), 0.0),
        (format!("parkade_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(figures.get(&name), Some(&expected), "{name} in {figures:#?}");
    }
    let pools = if t.engine == Engine::Sqlite { ["write", "read"] } else { ["requests", "jobs"] };
    let open: f64 = pools
        .iter()
        .flat_map(|pool| {
            ["idle", "used"].map(|state| {
                figures[&format!("parkade_database_connections{{pool=\"{pool}\",state=\"{state}\"}}")]
            })
        })
        .sum();
    assert!((1.0..=20.0).contains(&open), "{figures:#?}");
    assert!(figures["process_resident_memory_bytes"] > 1e6);
    let age = t.app.clock.now().timestamp_millis() as f64 / 1_000.0 - figures["process_start_time_seconds"];
    assert!((0.0..60.0).contains(&age), "{age}");

    // Made-up paths, ids and methods share one series each.
    let strange = async |n: u32| {
        client.get(&format!("/no/such/place/{n}"), "").await;
        client.get(&format!("/parking-lots/{}", 1000 + n), "").await;
        client
            .call(Method::from_bytes(format!("METHOD{n}").as_bytes()).unwrap(), "/parking-lots", "", None)
            .await;
    };
    strange(0).await;
    let before = scrape(&address).await.len();
    for n in 1..60 {
        strange(n).await;
    }
    let figures = scrape(&address).await;
    assert_eq!(figures.len(), before, "{:#?}", figures.keys());
    assert!(before < 400, "{before} series");
    assert_eq!(figures[&of("none", "GET", "4xx")], 60.0);
    // Metrics are not served on the public port.
    assert_eq!(root.get("/metrics", token).await.0, 404);
    assert_eq!(client.get("/metrics", token).await.0, 404);
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_report_a_missing_redis() {
    let mut redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    let address = format!("127.0.0.1:{}", devstack::free_port().unwrap());
    let (_process, base) = Processes::of(&t, &[("METRICS_ADDR", &address)]).api().await;
    let client = Client::of(&base);
    let lots = async || client.get("/parking-lots", "").await.0 == 200;
    assert!(lots().await);
    redis.kill().await.unwrap();
    t.eventually("Redis is reported as away", async || {
        lots().await && scrape(&address).await["parkade_redis_away"] == 1.0
    })
    .await;
    let name = "parkade_cache_requests_total{group=\"parking_lots\",outcome=\"errors\"}";
    assert!(scrape(&address).await[name] >= 1.0);
    redis.restart().await.unwrap();
    t.eventually("Redis is reported as back", async || {
        lots().await && scrape(&address).await["parkade_redis_away"] == 0.0
    })
    .await;
}
