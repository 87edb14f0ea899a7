//! The number of round trips to Redis per request.

use std::time::{Duration, Instant};

use devstack::{ChaosProxy, Mode, Redis};
use futures::future::join_all;
use testkit::{Engine, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_redis_connections() {
    let (t, redis) = TestApp::start_with_redis(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(3).await;
    let path = format!("/parking-lots/{lot}");
    for answer in join_all((0..100).map(|_| t.get(&path, Some(&asha)))).await {
        answer.expect(200);
    }
    t.post("/export/csv/request", Some(&asha), serde_json::json!({})).await.expect(202);
    let mut looking =
        redis::Client::open(redis.url(5)).unwrap().get_multiplexed_async_connection().await.unwrap();
    let ask = redis::cmd("CLIENT").arg("LIST").to_owned();
    let list: String = ask.query_async(&mut looking).await.unwrap();
    let of = |db: u8| list.lines().filter(|line| line.contains(&format!(" db={db} "))).count();
    assert_eq!([of(0), of(1)], [2, 1], "database 0 also has a subscription: {list}");
    assert!(of(2) <= 1, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_counters_take_one_round_trip() {
    let redis = Redis::start().await.unwrap();
    let proxy = ChaosProxy::start(([127, 0, 0, 1], redis.port()).into()).await.unwrap();
    let port = proxy.addr().port().to_string();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    t.app.redis.ping().await.unwrap();
    // The delay applies in each direction, so a round trip takes twice as long.
    let delay = Duration::from_millis(100);
    proxy.set(Mode::Delay(delay)).await.unwrap();
    let names: Vec<String> = (0..100).map(|number| format!("name{number}")).collect();
    names.iter().for_each(|name| t.app.counters.increment(name.as_str()));
    let begun = Instant::now();
    t.app.counters.flush().await;
    let took = begun.elapsed();
    assert!((2 * delay..4 * delay).contains(&took), "{took:?}");
    proxy.set(Mode::Pass).await.unwrap();
    assert_eq!(t.app.counters.read(&names).await.unwrap(), vec![1; 100]);
}
