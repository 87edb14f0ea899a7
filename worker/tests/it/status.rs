//! Where a job stands, as its owner sees it.

use devstack::Redis;
use std::time::Duration;
use testkit::TestApp;

use chrono::TimeDelta;
use serde_json::Value;
use shared::{
    app::App,
    base::clock::Clock,
    jobs::{
        NewJob,
        status::{self, State, Status},
    },
};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, Probe, driver_with, enqueue, insert, people, reaches, registry, request_export, within,
};

async fn find(app: &App, id: Uuid) -> Status {
    status::find(app, id).await.unwrap().expect("a known job")
}

#[testkit::both_databases(together)]
async fn an_export_is_pending_then_in_progress_then_a_success(t: TestApp) {
    let driver = driver_with(&t, 120_000).await;
    let id = request_export(&t, &driver).await;
    let pending = find(&t.app, id).await;
    assert_eq!((pending.state, pending.current, pending.owner_id), (State::Pending, 0, Some(driver.id)));
    let worker = t.work();
    let mut seen = vec![pending];
    while !seen.last().unwrap().state.is_final() {
        let now = find(&t.app, id).await;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rank =
        |state| [State::Pending, State::Progress, State::Success].iter().position(|known| *known == state);
    assert!(seen.is_sorted_by_key(|status| rank(status.state).expect("one of these")), "{seen:#?}");
    let progress: Vec<_> = seen.iter().filter(|status| status.state == State::Progress).collect();
    assert!(progress.is_sorted_by_key(|status| status.current), "{progress:#?}");
    let partly = progress.iter().filter(|status| 0 < status.current && status.current < 120_000).count();
    assert!(partly >= 1, "something between nothing and all: {progress:#?}");
    assert!(progress.iter().all(|status| status.current == 0 || status.total == 120_000), "{progress:#?}");
    let end = seen.last().unwrap();
    assert_eq!((end.result["rows"].as_i64(), &end.error), (Some(120_000), &None));

    reaches(&t, id, "succeeded").await;
    let body = t.get(&format!("/tasks/{id}"), Some(&driver)).await.expect(200).body;
    assert_eq!(body["state"], "SUCCESS", "{body}");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn without_redis_the_ledger_answers(t: TestApp, mut redis: Redis) {
    let worker = t.work_with(registry());
    let done = enqueue(&t, &Probe::<MAIL>::new(&[Act::Succeed])).await;
    let busy = enqueue(&t, &Probe::<MAIL>::new(&[Act::SleepMillis(4_000)])).await;
    reaches(&t, done, "succeeded").await;
    reaches(&t, busy, "running").await;
    redis.kill().await.unwrap();
    let waiting = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    for (id, state) in [(done, State::Success), (busy, State::Progress), (waiting.id, State::Pending)] {
        assert_eq!(find(&t.app, id).await.state, state);
    }
    assert_eq!(find(&t.app, done).await.result["run"], 1);
    assert!(status::find(&t.app, Uuid::new_v4()).await.unwrap().is_none());
    // It ends without Redis, too.
    reaches(&t, busy, "succeeded").await;
    assert_eq!(find(&t.app, busy).await.state, State::Success);
    redis.restart().await.unwrap();
    // What Redis last heard of it was that it runs.
    within(Duration::from_secs(10), "the truth", || async {
        find(&t.app, busy).await.state == State::Success
    })
    .await;
    worker.stop().await;
}

#[testkit::both_databases]
async fn a_status_that_nobody_refreshes_is_not_believed(t: TestApp) {
    let owner = people(&t, 1).await[0];
    let job = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap().owner(owner)).await;
    let mut then = t.app.clone();
    then.clock = Clock::fixed(t.app.clock.now() - TimeDelta::seconds(5));
    let running = Status {
        kind: "probe-mail".into(),
        owner_id: Some(owner),
        since: then.clock.now(),
        state: State::Progress,
        current: 1,
        total: 2,
        result: Value::Null,
        error: None,
    };
    status::publish(&then, job.id, &running).await;
    assert_eq!(find(&then, job.id).await.state, State::Progress, "five seconds ago it was true");
    assert_eq!(find(&t.app, job.id).await.state, State::Pending);
}
