//! The status of a job, as its owner sees it.

use devstack::Redis;
use std::time::Duration;
use testkit::TestApp;

use chrono::TimeDelta;
use serde_json::Value;
use shared::{
    app::App,
    base::clock::Clock,
    jobs::{
        JobState, NewJob,
        status::{self, Status},
    },
};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, Probe, driver_with, enqueue, insert, people, reaches, registry, request_export, within,
};

async fn find(app: &App, id: Uuid) -> Status {
    status::find(app, id).await.unwrap().expect("the job has a status")
}

#[testkit::both_databases(together)]
async fn export_goes_from_pending_to_progress_to_success(t: TestApp) {
    let driver = driver_with(&t, 120_000).await;
    let id = request_export(&t, &driver).await;
    let pending = find(&t.app, id).await;
    assert_eq!((pending.state, pending.current, pending.owner_id), (JobState::Queued, 0, Some(driver.id)));
    let worker = t.work();
    let mut seen = vec![pending];
    while !seen.last().unwrap().state.is_final() {
        let now = find(&t.app, id).await;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rank = |state| {
        [JobState::Queued, JobState::Running, JobState::Succeeded].iter().position(|known| *known == state)
    };
    assert!(seen.is_sorted_by_key(|status| rank(status.state).expect("a known state")), "{seen:#?}");
    let progress: Vec<_> = seen.iter().filter(|status| status.state == JobState::Running).collect();
    assert!(progress.is_sorted_by_key(|status| status.current), "{progress:#?}");
    let partly = progress.iter().filter(|status| 0 < status.current && status.current < 120_000).count();
    assert!(partly >= 1, "some progress between 0 and 100 %: {progress:#?}");
    assert!(progress.iter().all(|status| status.current == 0 || status.total == 120_000), "{progress:#?}");
    let end = seen.last().unwrap();
    assert_eq!((end.result["rows"].as_i64(), &end.error), (Some(120_000), &None));

    reaches(&t, id, "succeeded").await;
    let body = t.get(&format!("/tasks/{id}"), Some(&driver)).await.expect(200).body;
    assert_eq!(body["state"], "SUCCESS", "{body}");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn status_comes_from_the_ledger_without_redis(t: TestApp, mut redis: Redis) {
    let worker = t.work_with(registry());
    let done = enqueue(&t, &Probe::<MAIL>::new(&[Act::Succeed])).await;
    let busy = enqueue(&t, &Probe::<MAIL>::new(&[Act::SleepMillis(4_000)])).await;
    reaches(&t, done, "succeeded").await;
    reaches(&t, busy, "running").await;
    redis.kill().await.unwrap();
    let waiting = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    for (id, state) in
        [(done, JobState::Succeeded), (busy, JobState::Running), (waiting.id, JobState::Queued)]
    {
        assert_eq!(find(&t.app, id).await.state, state);
    }
    assert_eq!(find(&t.app, done).await.result["run"], 1);
    assert!(status::find(&t.app, Uuid::new_v4()).await.unwrap().is_none());
    // The job ends without Redis, too.
    reaches(&t, busy, "succeeded").await;
    assert_eq!(find(&t.app, busy).await.state, JobState::Succeeded);
    redis.restart().await.unwrap();
    // The last status in Redis says that the job is running.
    within(Duration::from_secs(10), "the status comes from the ledger", || async {
        find(&t.app, busy).await.state == JobState::Succeeded
    })
    .await;
    worker.stop().await;
}

#[testkit::both_databases]
async fn stale_redis_status_is_not_trusted(t: TestApp) {
    let owner = people(&t, 1).await[0];
    let job = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap().owner(owner)).await;
    let then = t.app.with_clock(Clock::fixed(t.app.clock.now() - TimeDelta::seconds(5)));
    let running = Status {
        kind: "probe-mail".into(),
        owner_id: Some(owner),
        since: then.clock.now(),
        state: JobState::Running,
        current: 1,
        total: 2,
        result: Value::Null,
        error: None,
    };
    status::publish(&then, job.id, &running).await;
    assert_eq!(
        find(&then, job.id).await.state,
        JobState::Running,
        "a status of five seconds ago is still trusted"
    );
    assert_eq!(find(&t.app, job.id).await.state, JobState::Queued);
}
