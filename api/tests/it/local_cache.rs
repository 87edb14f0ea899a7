//! Reads that make no round trip, and how soon a write reaches the other processes.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::platform::cache::Group;
use testkit::{Driver, Engine, TestApp};

use crate::{cached::committed, support::change};

/// A response is never older than this, in any process.
const BOUND: Duration = Duration::from_secs(1);

const NO_LIMIT: (&str, &str) = ("RATE_LIMIT_DEFAULT", "10000000/60");

/// A connection that counts what the server executes.
struct Watch(redis::aio::MultiplexedConnection);

impl Watch {
    async fn new(redis: &devstack::Redis) -> Self {
        let client = redis::Client::open(redis.url(5)).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    async fn call<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut call = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            call.arg(word);
        });
        call.query_async(&mut self.0.clone()).await.unwrap()
    }

    /// Commands so far, without those of this connection.
    async fn commands(&self) -> u64 {
        let calls = |line: &str| -> Option<u64> {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            (command != "info").then(|| rest.split(',').next()?.parse().ok()).flatten()
        };
        self.call::<String>("INFO commandstats").await.lines().filter_map(calls).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_reads_ask_neither_redis_nor_the_database() {
    let redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let settings = [
        ("REDIS_PORT", port.as_str()),
        ("DATABASE_CONNECTIONS", "1"),
        ("COUNTERS_ENABLED", "false"),
        NO_LIMIT,
    ];
    let t = TestApp::start_with(Engine::Postgres, &settings).await;
    t.lot(2).await;
    let watch = Watch::new(&redis).await;
    // The best of ten rounds: in some, a second has passed since the last round trip.
    let (mut commands, mut with, mut without) = (u64::MAX, i64::MAX, i64::MAX);
    for _ in 0..10 {
        for _ in 0..70 {
            t.get("/parking-lots", None).await.expect(200);
        }
        let begun = committed(&t).await;
        without = without.min(committed(&t).await - begun);
        let (begun, executed) = (committed(&t).await, watch.commands().await);
        for _ in 0..10 {
            t.get("/parking-lots", None).await.expect(200);
        }
        commands = commands.min(watch.commands().await - executed);
        with = with.min(committed(&t).await - begun);
    }
    assert_eq!((commands, with), (0, without));
}

/// Two API processes, and an administrator who changes the price of a lot through the first one.
struct Pair {
    writer: TestApp,
    reader: TestApp,
    admin: Driver,
    path: String,
}

impl Pair {
    async fn new(writer: TestApp) -> Self {
        let (reader, admin) = (writer.second_process(&[]).await, writer.admin().await);
        let path = format!("/parking-lots/{}", writer.lot(1).await);
        Self { writer, reader, admin, path }
    }

    async fn price(&self, process: &TestApp) -> f64 {
        process.get(&self.path, None).await.expect(200).body["lot"]["price"].as_f64().unwrap()
    }

    /// Writes, then reads until the other process shows it. Returns how long after the write a read began that did not.
    async fn write(&self, price: u32) -> Duration {
        self.price(&self.reader).await;
        self.writer.put(&self.path, Some(&self.admin), json!({ "price": price })).await.expect(200);
        let (staleness, seen) = tokio::join!(self.staleness(price, Instant::now()), self.price(&self.writer));
        assert!((seen - f64::from(price)).abs() < 0.001, "visible at once where it was written");
        staleness
    }

    async fn staleness(&self, price: u32, written: Instant) -> Duration {
        let mut stale = Duration::ZERO;
        loop {
            let begun = written.elapsed();
            if (self.price(&self.reader).await - f64::from(price)).abs() < 0.001 {
                return stale;
            }
            stale = begun;
            assert!(stale < BOUND, "a read {stale:?} after the write does not show it");
        }
    }
}

/// `STALENESS_WRITES` sets the number of writes.
#[expect(clippy::disallowed_methods, reason = "a switch for developers, not a setting")]
fn number_of_writes() -> u32 {
    std::env::var("STALENESS_WRITES").map_or(300, |writes| writes.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_reach_other_processes_within_a_second() {
    let writes = number_of_writes();
    let pair = Pair::new(TestApp::start_with(Engine::Sqlite, &[NO_LIMIT]).await).await;
    let others = {
        let (http, url) = (reqwest::Client::new(), pair.reader.url(&pair.path));
        tokio::spawn(async move { while http.get(&url).send().await.is_ok() {} })
    };
    let mut staleness = Vec::new();
    for price in 1..=writes {
        staleness.push(pair.write(price).await);
    }
    others.abort();
    staleness.sort_unstable();
    let (p99, longest) = (staleness[(staleness.len() - 1) * 99 / 100], staleness[staleness.len() - 1]);
    println!(
        "{writes} writes: other processes are stale for {p99:?} at the 99th percentile, {longest:?} at most"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_subscription_delays_a_write_by_less_than_a_second() {
    let redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let pair = Pair::new(TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &port), NO_LIMIT]).await).await;
    let watch = Watch::new(&redis).await;
    let channel = pair.writer.app.redis.keys().invalidation_channel();
    for price in 1..=10 {
        testkit::eventually("both processes have subscribed", async || {
            pair.price(&pair.reader).await;
            pair.price(&pair.writer).await;
            watch.call::<(String, u8)>(&format!("PUBSUB NUMSUB {channel}")).await.1 == 2
        })
        .await;
        pair.price(&pair.reader).await;
        let cut: u8 = watch.call("CLIENT KILL TYPE pubsub").await;
        assert!(cut >= 2);
        pair.write(price).await;
    }
}

/// A process of an earlier release replaces generations without announcing it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unannounced_change_is_seen_within_a_second() {
    let pair = Pair::new(TestApp::start_with(Engine::Sqlite, &[NO_LIMIT]).await).await;
    let mut longest = Duration::ZERO;
    for price in 1..=3 {
        // Long enough to have a subscription, and a response that has just been confirmed.
        for _ in 0..20 {
            pair.price(&pair.reader).await;
        }
        change(&pair.writer, "UPDATE lots SET price_minor = $1", [(100 * price).into()]).await.unwrap();
        let redis = &pair.writer.app.redis;
        let forget = redis::Cmd::unlink(redis.keys().generation(Group::Catalog));
        redis.query(async |mut redis| forget.exec_async(&mut redis).await).await.unwrap();
        longest = longest.max(pair.staleness(price, Instant::now()).await);
    }
    assert!(longest > Duration::ZERO, "without announcements, memory is trusted for a while");
}
