//! What a mail costs in statements and in Redis commands, from the claim of its job to its end.

use shared::{
    jobs::NewJob,
    parking::notifications::{confirmation, receipt},
};
use testkit::{Engine, TestApp};
use worker::{Worker, consume::perform, registry::Registry};

use crate::support::{Act, MAIL, Probe, insert, registry, row};

async fn commands(redis: &devstack::Redis) -> u64 {
    let client = redis::Client::open(redis.url(0)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let calls = |line: &str| -> Option<u64> {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let is_of_the_test = ["info", "client|setinfo", "select", "hello"].contains(&command);
        (!is_of_the_test).then(|| rest.split(',').next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(calls).sum()
}

/// The least statements and commands of a run of a job like this.
async fn cost(t: &TestApp, redis: &devstack::Redis, job: impl Fn() -> NewJob) -> (u64, u64) {
    let worker = Worker::new(t.app.clone(), Registry::default());
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..3 {
        let job = insert(t, &job()).await;
        testkit::change(t, "DELETE FROM email_deliveries", []).await.unwrap();
        let (statements, before) = (t.app.db.statements(), commands(redis).await);
        perform(&worker, job.id).await;
        let statements = t.app.db.statements() - statements;
        least = (least.0.min(statements), least.1.min(commands(redis).await - before));
        assert_eq!(row(t, job.id).await.state.as_str(), "succeeded");
    }
    least
}

#[testkit::both_databases]
async fn jobs_wanted_together_share_statements(t: TestApp) {
    const JOBS: usize = 16;
    let worker = Worker::new(t.app.clone(), registry());
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await.id);
    }
    let before = t.app.db.statements();
    // Twice the same message, and both at once: it is run once.
    futures::future::join_all(jobs.iter().chain(&jobs[..4]).map(|id| perform(&worker, *id))).await;
    let statements = t.app.db.statements() - before;
    // Alone, twenty claims and sixteen ends take 36.
    assert!(statements < JOBS as u64 * 2, "{statements} statements for {JOBS} jobs");
    for id in jobs {
        let job = row(&t, id).await;
        assert_eq!((job.state.as_str(), job.attempt, job.lease_token), ("succeeded", 1, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_cost_few_round_trips() {
    for (engine, limits) in [(Engine::Postgres, (7, 7)), (Engine::Sqlite, (10, 7))] {
        let redis = devstack::Redis::start().await.unwrap();
        let settings = [("REDIS_PORT", redis.port().to_string()), ("COUNTERS_ENABLED", "false".into())];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let t = TestApp::start_with(engine, &settings).await;
        let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
        let id = t.book(&asha, lot).await;
        testkit::change(&t, "DELETE FROM jobs", []).await.unwrap();
        let booked = cost(&t, &redis, || confirmation(id, asha.id).unwrap()).await;
        t.release(&asha, id).await.expect(200);
        testkit::change(&t, "DELETE FROM jobs", []).await.unwrap();
        let left = cost(&t, &redis, || receipt(id, asha.id).unwrap()).await;
        println!("{engine:?}: statements and commands of a confirmation {booked:?}, of a receipt {left:?}");
        for cost in [booked, left] {
            assert!(cost.0 <= limits.0 && cost.1 <= limits.1, "{engine:?}: {booked:?}, {left:?}");
        }
    }
}
