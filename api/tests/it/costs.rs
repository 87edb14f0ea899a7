//! What a request costs in statements and in Redis commands. A figure that grows needs a reason.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::json;
use testkit::{Driver, Engine, TestApp};

use crate::support::many_drivers;

/// Statements, with BEGIN and COMMIT, and commands of Redis, with those inside scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    statements: u64,
    commands: u64,
}

impl Cost {
    fn min(self, other: Self) -> Self {
        Self {
            statements: self.statements.min(other.statements),
            commands: self.commands.min(other.commands),
        }
    }
}

struct Meter<'a> {
    t: &'a TestApp,
    redis: redis::aio::MultiplexedConnection,
}

impl<'a> Meter<'a> {
    async fn new(t: &'a TestApp, redis: &devstack::Redis) -> Self {
        let client = redis::Client::open(redis.url(5)).unwrap();
        Self { t, redis: client.get_multiplexed_async_connection().await.unwrap() }
    }

    async fn total(&self) -> Cost {
        let calls = |line: &str| -> Option<u64> {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            (command != "info").then(|| rest.split(',').next()?.parse().ok()).flatten()
        };
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("commandstats").query_async(&mut self.redis.clone()).await.unwrap();
        Cost { statements: self.t.app.db.statements(), commands: text.lines().filter_map(calls).sum() }
    }

    /// The total once nothing has happened for a while: jobs are announced after the response.
    async fn settled(&self) -> Cost {
        let mut before = self.total().await;
        loop {
            tokio::time::sleep(Duration::from_millis(15)).await;
            let now = self.total().await;
            if now == before {
                return now;
            }
            before = now;
        }
    }

    async fn cost(&self, what: impl Future) -> Cost {
        let before = self.settled().await;
        what.await;
        let after = self.settled().await;
        Cost { statements: after.statements - before.statements, commands: after.commands - before.commands }
    }
}

/// The least cost of a booking and of its release by drivers who are known, and of a cached read.
async fn costs(engine: Engine) -> [Cost; 3] {
    let redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let settings =
        [("REDIS_PORT", port.as_str()), ("COUNTERS_ENABLED", "false"), ("RATE_LIMIT_DEFAULT", "10000000/60")];
    let t = TestApp::start_with(engine, &settings).await;
    let (lot, meter) = (t.lot(20).await, Meter::new(&t, &redis).await);
    let mut least = [Cost { statements: u64::MAX, commands: u64::MAX }; 3];
    for asha in many_drivers(&t, "asha", 3).await {
        let known = async |who: &Driver| t.get("/auth/sessions", Some(who)).await.expect(200);
        known(&asha).await;
        let mut id = 0;
        let booked = meter.cost(async { id = t.book(&asha, lot).await }).await;
        known(&asha).await;
        let body =
            json!({ "reservation_id": id, "payment_method": "card", "transaction_id": format!("T{id}") });
        let released = meter.cost(t.post("/booking/release-spot", Some(&asha), body)).await;
        t.get("/parking-lots", None).await.expect(200);
        let read = meter.cost(t.get("/parking-lots", None)).await;
        for (least, cost) in least.iter_mut().zip([booked, released, read]) {
            *least = least.min(cost);
        }
    }
    least
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_cost_few_round_trips() {
    let cost = |statements, commands| Cost { statements, commands };
    testkit::together(async |engine| {
        let limits = match engine {
            Engine::Postgres => [cost(1, 15), cost(2, 15), cost(0, 0)],
            Engine::Sqlite => [cost(8, 15), cost(6, 15), cost(0, 0)],
        };
        let costs = costs(engine).await;
        assert!(costs.iter().zip(limits).all(|(cost, limit)| cost.min(limit) == *cost), "{costs:?}");
    })
    .await;
}

/// Planning a booking for its values takes longer than running it, and PostgreSQL does so once tables have statistics.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_postgresql_keep_their_plans() {
    let t = TestApp::start(Engine::Postgres).await;
    for pool in [t.app.db.read(), t.app.db.write(), t.app.db.relaxed()] {
        for (setting, value) in [("plan_cache_mode", "force_generic_plan"), ("enable_bitmapscan", "off")] {
            let query = format!("SELECT current_setting('{setting}') AS t");
            let row = pool.query_one_raw(shared::platform::db::sql(pool, &query, [])).await.unwrap().unwrap();
            assert_eq!(row.try_get::<String>("", "t").unwrap(), value, "{setting}");
        }
    }
}
