//! Workers whose clock is wrong.

use chrono::TimeDelta;
use shared::{
    base::clock::Clock,
    jobs::{control, ledger, schedule::Proposer},
    operations::schedules,
    platform::db::at,
};
use testkit::{Engine, TestApp, within};

use crate::support::{Act, MAIL, Probe, execute, insert, number, registry};

const AHEAD: TimeDelta = TimeDelta::days(40);

/// A driver, and a reservation of tomorrow.
async fn reserve(t: &TestApp) {
    let driver = t.driver("Asha").await;
    let (lot, now) = (t.lot(1).await, t.app.clock.now());
    let body = serde_json::json!({
        "lot_id": lot,
        "parking_time": (now + TimeDelta::hours(24)).to_rfc3339(),
        "leaving_time": (now + TimeDelta::hours(25)).to_rfc3339(),
    });
    t.post("/reservations", Some(&driver), body).await.expect(201);
}

#[testkit::both_databases]
async fn a_worker_in_the_future_does_nothing_but_alert(t: TestApp) {
    t.admin().await;
    reserve(&t).await;
    let job = Probe::<MAIL>::new(&[Act::Succeed]);
    let later = shared::jobs::NewJob::of(&job).unwrap().run_at(t.app.clock.now() + TimeDelta::days(1));
    insert(&t, &later).await;
    let future = t.with(|app| app.clock = Clock::Offset(AHEAD)).await;
    let worker = future.work_with(registry());
    let is_alerted = || async { t.mails().iter().any(|mail| mail.subject.contains("clock of a worker")) };
    within(std::time::Duration::from_secs(20), "administrators are told", is_alerted).await;
    worker.stop().await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'reserved'").await, 1);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM cron_ticks").await, 0);
    assert!(job.runs().is_empty());
    let limit = at(t.app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(execute(&t, "DELETE FROM alerts WHERE last_at > $1", [limit]).await, 0);
    let claimed = ledger::claim(&t.app.db, t.app.clock.now(), std::time::Duration::ZERO, "w", later.id).await;
    assert!(claimed.unwrap().is_none());
}

#[testkit::both_databases]
async fn times_from_the_future_are_repaired_by_a_command(t: TestApp) {
    let now = t.app.clock.now();
    // By a fixed clock, which nobody checks.
    let future = t.app.with_clock(Clock::fixed(now + AHEAD));
    let all = |app: &shared::app::App| Proposer::new(app.clone(), schedules::all(&app.config).unwrap());
    all(&t.app).propose_due().await.unwrap();
    assert!(!all(&future).propose_due().await.unwrap().is_empty(), "jobs of ticks in the future");
    let limit = "settled_until > (SELECT MAX(created_at) FROM lots)";
    t.lot(1).await;
    assert!(number(&t, &format!("SELECT COUNT(*) AS n FROM schedules WHERE {limit}")).await > 0);
    let repaired = control::repair_times(&t.app).await.unwrap();
    assert!(repaired.schedules > 0 && repaired.ticks > 0, "{repaired:?}");
    let again = control::repair_times(&t.app).await.unwrap();
    assert_eq!((again.schedules, again.ticks), (0, 0));
    let later = t.app.with_clock(Clock::fixed(now + TimeDelta::days(1)));
    assert!(!all(&later).propose_due().await.unwrap().is_empty(), "schedules run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_a_wrong_clock() {
    let t = TestApp::start(Engine::Postgres).await;
    assert_eq!(t.get("/health", None).await.body["clock"], "ok");
    let past = t.with(|app| app.clock = Clock::Offset(-TimeDelta::minutes(2))).await;
    let health = past.get("/health", None).await.expect(200).body;
    assert_eq!(health["status"], "degraded");
    let text = health["clock"].as_str().unwrap();
    assert!(text.starts_with("the clock of this machine is 1") && text.ends_with("behind"), "{text}");
}
