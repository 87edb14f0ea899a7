//! Following a task: access, number and duration of streams, and their headers.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::json;
use shared::jobs::{
    JobState,
    status::{
        self, Status,
        followers::{Bounds, Followers},
    },
};
use testkit::{Driver, Engine, Events, Processes, TestApp};
use uuid::Uuid;

use crate::support::{change, many_drivers};

/// A task that stays pending, as no worker runs.
async fn task(t: &TestApp, driver: &Driver) -> Uuid {
    let answer = t.post("/export/csv/request", Some(driver), json!({})).await.expect(202);
    answer.body["task_id"].as_str().unwrap().parse().unwrap()
}

/// A status as a worker publishes it.
fn worker_status(driver: &Driver, since: DateTime<Utc>, state: JobState, current: i64) -> Status {
    let result = if state == JobState::Succeeded { json!({ "rows": current }) } else { json!(null) };
    let kind = "export-csv".to_owned();
    Status { kind, owner_id: Some(driver.id), since, state, current, total: 9, result, error: None }
}

/// The same process with other limits for followers.
async fn bounded(t: &TestApp, change: impl FnOnce(&mut Bounds)) -> TestApp {
    let mut bounds = Bounds::default();
    change(&mut bounds);
    let followers = Followers::new(t.app.clone(), bounds);
    t.with_router(api::router(api::ApiState { app: t.app.clone(), followers })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_sends_current_state_then_changes_until_final() {
    let t = TestApp::start(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let id = task(&t, &asha).await;
    let mut events = t.follow(id, &asha, None).await;
    assert_eq!(events.headers()["cache-control"], "no-store");
    assert_eq!(events.headers()["x-accel-buffering"], "no");
    let first = events.next().await.unwrap();
    let polled = t.get(&format!("/tasks/{id}"), Some(&asha)).await.expect(200);
    assert_eq!(first.data, polled.body, "polling and following report the same state");
    assert_eq!(polled.headers["retry-after"], "1");
    assert!(events.others.contains(&"retry: 2000".to_owned()), "{:?}", events.others);

    let begun = t.app.clock.now();
    let mut ids = vec![first.id];
    for current in [0, 3, 7] {
        status::publish(&t.app, id, &worker_status(&asha, begun, JobState::Running, current)).await;
        let event = events.next().await.unwrap();
        assert_eq!((&event.data["state"], &event.data["current"]), (&json!("PROGRESS"), &json!(current)));
        ids.push(event.id);
    }
    // Outdated and repeated states are not sent.
    for current in [3, 7] {
        status::publish(&t.app, id, &worker_status(&asha, begun, JobState::Running, current)).await;
    }
    status::publish(&t.app, id, &worker_status(&asha, begun, JobState::Succeeded, 0)).await;
    let end = events.rest().await;
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!((&end[0].data["state"], &end[0].data["result"]), (&json!("SUCCESS"), &json!({ "rows": 0 })));
    ids.push(end[0].id.clone());
    let versions: Vec<status::Version> = ids.iter().map(|id| id.parse().unwrap()).collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{ids:?}");

    // On reconnect, the client gets what it missed, and always the end unless it has seen it.
    for seen in [Some(ids[2].as_str()), None, Some("9999999999999999-3-0-0"), Some("nonsense")] {
        assert_eq!(t.follow(id, &asha, seen).await.rest().await, end, "{seen:?}");
    }
    let request = t.request(Method::GET, &format!("/tasks/{id}/events"), Some(&asha));
    t.send(request.header("last-event-id", &end[0].id)).await.expect(204);
    let polled = t.get(&format!("/tasks/{id}"), Some(&asha)).await.expect(200);
    assert!(!polled.headers.contains_key("retry-after"), "the task has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_progress_of_an_earlier_run_is_dropped() {
    let t = TestApp::start(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let id = task(&t, &asha).await;
    let mut events = t.follow(id, &asha, None).await;
    let old = t.app.clock.now();
    let new = old + chrono::TimeDelta::seconds(3);
    let mut seen = Vec::new();
    for (begun, current) in [(old, 8), (new, 1), (old, 9), (new, 2)] {
        status::publish(&t.app, id, &worker_status(&asha, begun, JobState::Running, current)).await;
        // The outdated status is not sent, so the test cannot wait for it.
        while (begun, current) != (old, 9) && seen.last() != Some(&(json!("PROGRESS"), json!(current))) {
            let event = events.next().await.unwrap();
            seen.push((event.data["state"].clone(), event.data["current"].clone()));
        }
    }
    let running = |current| (json!("PROGRESS"), json!(current));
    let pending = (json!("PENDING"), json!(null));
    assert_eq!(seen, [pending.clone(), running(8), pending, running(1), running(2)]);
    // Polling ignores it, too.
    status::publish(&t.app, id, &worker_status(&asha, old, JobState::Running, 9)).await;
    assert_eq!(status::find(&t.app, id).await.unwrap().unwrap().current, 2);
    status::publish(&t.app, id, &worker_status(&asha, new, JobState::Succeeded, 0)).await;
    status::publish(&t.app, id, &worker_status(&asha, new, JobState::Running, 5)).await;
    assert_eq!(status::find(&t.app, id).await.unwrap().unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_tasks_cannot_be_followed() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let id = task(&t, &asha).await;
    let t = bounded(&t, |bounds| bounds.max_per_user = 1).await;
    for path in
        [format!("/tasks/{id}/events"), format!("/tasks/{}/events", Uuid::new_v4()), "/tasks/7/events".into()]
    {
        for _ in 0..3 {
            t.get(&path, Some(&ravi)).await.problem(404, "not_found");
        }
    }
    let own = task(&t, &ravi).await;
    assert!(t.follow(own, &ravi, None).await.next().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_limits_per_user_and_process() {
    let t = TestApp::start(Engine::Sqlite).await;
    let drivers = many_drivers(&t, "d", 3).await;
    let t = bounded(&t, |bounds| {
        bounds.max_per_user = 2;
        bounds.max_total = 5;
    })
    .await;
    let mut tasks = Vec::new();
    for driver in &drivers {
        tasks.push(task(&t, driver).await);
    }
    let mut open = Vec::new();
    for nth in [0, 0, 1, 1] {
        let mut events = t.follow(tasks[nth], &drivers[nth], None).await;
        events.next().await.unwrap();
        open.push(events);
    }
    let answer = t.get(&format!("/tasks/{}/events", tasks[0]), Some(&drivers[0])).await;
    answer.problem(429, "rate_limited");
    assert_eq!(answer.headers["retry-after"], "10");
    open.push(t.follow(tasks[2], &drivers[2], None).await);
    let answer = t.get(&format!("/tasks/{}/events", tasks[2]), Some(&drivers[2])).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.headers["retry-after"], "1");
    open.remove(0);
    t.eventually("a stream is free", || async {
        let request = t.request(Method::GET, &format!("/tasks/{}/events", tasks[0]), Some(&drivers[0]));
        request.send().await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ends_with_the_session_and_after_its_limit() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let (one, other) = (task(&t, &asha).await, task(&t, &ravi).await);
    let t = bounded(&t, |bounds| bounds.recheck_interval = Duration::from_millis(200)).await;
    let (mut ends, mut goes_on) = (t.follow(one, &asha, None).await, t.follow(other, &ravi, None).await);
    assert!(ends.next().await.is_some() && goes_on.next().await.is_some());
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    assert_eq!(ends.rest().await, []);
    tokio::time::sleep(Duration::from_millis(300)).await;
    status::publish(&t.app, other, &worker_status(&ravi, t.app.clock.now(), JobState::Running, 1)).await;
    assert_eq!(goes_on.next().await.unwrap().data["current"], 1, "the other session is unaffected");
    assert!(goes_on.others.contains(&": ping".to_owned()), "{:?}", goes_on.others);

    let t = bounded(&t, |bounds| bounds.max_duration = Duration::from_millis(300)).await;
    let mut short = t.follow(other, &ravi, None).await;
    let sent = short.rest().await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(
        short.others.iter().filter(|line| line.starts_with("retry:")).count(),
        2,
        "{:?}",
        short.others
    );
    // Nothing is repeated when the client reconnects with the last id it has seen.
    assert_eq!(t.follow(other, &ravi, Some(&sent[0].id)).await.rest().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_subscription_serves_all_followers() {
    let t = TestApp::start(Engine::Sqlite).await;
    let other = t.second_process(&[]).await;
    let drivers = many_drivers(&t, "d", 5).await;
    let subscriptions = async || {
        let (_, count): (String, i64) = redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg(t.app.redis.keys().status_channel())
            .query_async(&mut t.app.redis.queue.connection().unwrap())
            .await
            .unwrap();
        count
    };
    let mut open = Vec::new();
    for driver in &drivers {
        let id = task(&t, driver).await;
        for process in [&t, &other] {
            for _ in 0..10 {
                open.push(process.follow(id, driver, None).await);
            }
        }
    }
    t.eventually("there are two subscriptions", || async { subscriptions().await == 2 }).await;
    for events in &mut open {
        assert!(events.next().await.is_some());
    }
    assert_eq!(subscriptions().await, 2, "for {} followers", open.len());
    open.clear();
    t.eventually("the subscriptions are gone", || async { subscriptions().await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_streams_promptly() {
    let t = TestApp::start(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let id = task(&t, &asha).await;
    let (api, base) = Processes::of(&t, &[]).api().await;
    let request = reqwest::Client::new().get(format!("{base}/tasks/{id}/events")).bearer_auth(&asha.token);
    let mut events = Events::open(request, None).await;
    assert!(events.next().await.is_some());
    let asked = Instant::now();
    api.terminate().unwrap();
    assert_eq!(events.rest().await, []);
    assert_eq!(api.wait(Duration::from_secs(20)).await.unwrap(), Some(0), "{}", api.log());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[testkit::both_databases]
async fn streams_fall_back_to_the_ledger(t: TestApp) {
    let asha = t.driver("Asha").await;
    let id = task(&t, &asha).await;
    let mut events = t.follow(id, &asha, None).await;
    assert_eq!(events.next().await.unwrap().data["state"], "PENDING");
    let values = [shared::platform::db::at(t.app.clock.now()), id.into()];
    let text = "UPDATE jobs SET state = 'running', started_at = $1, progress_current = 4, progress_total = 9 WHERE id = $2";
    change(&t, text, values.clone()).await.unwrap();
    let event = events.next().await.unwrap();
    assert_eq!((&event.data["state"], &event.data["current"]), (&json!("PROGRESS"), &json!(4)));
    change(&t, "UPDATE jobs SET state = 'failed', error = 'never', finished_at = $1 WHERE id = $2", values)
        .await
        .unwrap();
    let end = events.rest().await;
    assert_eq!(
        (end.len(), &end[0].data["state"], &end[0].data["error"]),
        (1, &json!("FAILURE"), &json!("never"))
    );
}
