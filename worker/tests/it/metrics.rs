//! Metrics and health of a worker process: they match the ledger and the mail server.

use std::{collections::BTreeMap, time::Duration};

use devstack::{Behaviour, MailSink, Process};
use serde_json::{Value, json};
use shared::{jobs, parking::notifications};
use testkit::{Engine, Processes, TestApp};

use crate::support::{
    driver_with, execute, insert, mail_settings, number, people, reaches, request_export, settings, within,
};

/// Starts a worker that serves metrics, and returns its base URL.
fn worker(t: &TestApp, more: &[(&str, &str)]) -> (Process, String) {
    let address = format!("127.0.0.1:{}", devstack::free_port().unwrap());
    let all = [&[("WORKER_METRICS_ADDR", address.as_str())], more].concat();
    (Processes::of(t, &all).worker(), format!("http://{address}"))
}

/// Every sample by name and labels; empty until the worker answers.
async fn scrape(base: &str) -> BTreeMap<String, f64> {
    let Ok(answer) = reqwest::get(format!("{base}/metrics")).await else { return BTreeMap::new() };
    let text = answer.text().await.unwrap();
    let figures = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    figures
        .map(|line| {
            line.rsplit_once(' ').map(|(name, figure)| (name.to_owned(), figure.parse().unwrap())).unwrap()
        })
        .collect()
}

async fn health(base: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{base}/health")).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[testkit::both_databases]
async fn worker_metrics_match_what_happened(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let mail = mail_settings(sink.addr().port());
    let driver = driver_with(&t, 10).await;
    execute(&t, "DELETE FROM jobs", []).await;
    let (process, base) = worker(&t, &settings(&mail, &[]));
    within(Duration::from_secs(20), "metrics are served", || async { !scrape(&base).await.is_empty() }).await;
    let runs =
        |kind: &str, outcome: &str| format!("parkade_jobs_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
    let at_first = scrape(&base).await;
    assert_eq!(at_first[&runs("send-welcome", "failed")], 0.0, "the counter starts at zero");

    // Three mails arrive, one is rejected permanently, and one temporarily.
    for user in people(&t, 3).await {
        let id = insert(&t, &notifications::welcome(user).unwrap()).await.id;
        reaches(&t, id, "succeeded").await;
    }
    let others = people(&t, 2).await;
    sink.set(Behaviour::Permanent);
    let refused = insert(&t, &notifications::welcome(others[0]).unwrap()).await.id;
    reaches(&t, refused, "failed").await;
    sink.set(Behaviour::Accept);
    sink.fault("RCPT", "450 4.2.0 greylisted");
    let deferred = insert(&t, &notifications::welcome(others[1]).unwrap()).await.id;
    within(Duration::from_secs(20), "a retry is planned", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued' AND attempt >= 1").await == 1
    })
    .await;
    // No further attempt.
    assert!(jobs::cancel(&t.app, deferred).await.unwrap());
    let export = request_export(&t, &driver).await;
    reaches(&t, export, "succeeded").await;
    within(Duration::from_secs(20), "the export mail arrives", || async { sink.messages().len() == 4 }).await;

    // The metrics follow the ledger with a short delay.
    within(Duration::from_secs(10), "all runs are counted", || async {
        scrape(&base).await[&runs("send-export-ready", "succeeded")] == 1.0
    })
    .await;
    let figures = scrape(&base).await;
    for (name, expected) in [
        (runs("send-welcome", "succeeded"), 3.0),
        (runs("send-welcome", "failed"), 1.0),
        (runs("export-csv", "succeeded"), 1.0),
        (runs("send-welcome", "lease_lost"), 0.0),
        ("parkade_mails_total{outcome=\"sent\"}".into(), 4.0),
        ("parkade_mails_total{outcome=\"refused\"}".into(), 1.0),
        ("parkade_mails_total{outcome=\"unknown\"}".into(), 0.0),
        ("parkade_jobs_running{kind=\"send-welcome\"}".into(), 0.0),
        ("parkade_job_duration_seconds_count{kind=\"export-csv\"}".into(), 1.0),
        ("parkade_consumer_restarts_total{queue=\"mail\"}".into(), 0.0),
    ] {
        assert_eq!(figures[&name], expected, "{name}");
    }
    let retried = figures[&runs("send-welcome", "retried")];
    assert!(retried >= 1.0, "{figures:#?}");
    assert_eq!(figures["parkade_mails_total{outcome=\"deferred\"}"], retried);
    assert_eq!(figures["parkade_job_duration_seconds_count{kind=\"send-welcome\"}"], 4.0 + retried);

    // Due jobs are counted as waiting, and scheduled ones are not.
    execute(
        &t,
        "INSERT INTO paused_queues (queue, paused_at) VALUES ('mail', $1)",
        [shared::platform::db::at(t.app.clock.now())],
    )
    .await;
    let later =
        notifications::welcome(others[0]).unwrap().run_at(t.app.clock.now() + chrono::TimeDelta::hours(1));
    insert(&t, &later).await;
    insert(&t, &notifications::welcome(others[1]).unwrap()).await;
    within(Duration::from_secs(20), "a waiting job is reported", || async {
        let figures = scrape(&base).await;
        figures["parkade_queue_depth{queue=\"mail\"}"] == 1.0
            && figures["parkade_queue_oldest_seconds{queue=\"mail\"}"] > 1.0
    })
    .await;
    assert_eq!(scrape(&base).await["parkade_queue_depth{queue=\"exports\"}"], 0.0);
    let labels = |name: &&String| name.contains('{') && !name.contains("le=");
    assert!(
        figures.keys().filter(labels).count() < 300,
        "the number of series is bounded: {:#?}",
        figures.keys()
    );
    assert_eq!(health(&base).await.0, 200);
    drop(process);
}

/// Takes as long as the worker's health timeout.
#[tokio::test(flavor = "multi_thread")]
async fn worker_health_follows_redis() {
    let mut redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &port)]).await;
    let (process, base) = worker(&t, &[]);
    within(Duration::from_secs(20), "the worker answers", || async { !scrape(&base).await.is_empty() }).await;
    assert_eq!(health(&base).await.0, 200);
    redis.kill().await.unwrap();
    within(Duration::from_secs(30), "the worker is unhealthy", || async { health(&base).await.0 == 503 })
        .await;
    let (_, body) = health(&base).await;
    assert_eq!(body["status"], json!("failing"));
    assert!(body["parts"]["redis"]["seconds_since_reached"].as_u64() >= Some(15), "{body}");
    assert!(body["parts"]["database"]["seconds_since_reached"].as_u64() < Some(15), "{body}");
    redis.restart().await.unwrap();
    within(Duration::from_secs(30), "the worker is healthy again", || async { health(&base).await.0 == 200 })
        .await;
    let figures = scrape(&base).await;
    let restarts: f64 = figures
        .iter()
        .filter(|(name, _)| name.starts_with("parkade_consumer_restarts_total"))
        .map(|(_, n)| n)
        .sum();
    assert!(restarts >= 1.0, "consumers were replaced: {figures:#?}");
    drop(process);
}
