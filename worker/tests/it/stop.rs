//! Jobs that are given up, and workers that are stopped, frozen and woken.

use std::time::{Duration, Instant};

use devstack::MailSink;
use sea_orm::EntityTrait;
use shared::{
    Error,
    jobs::{Context, Job, context::Progress, queue, status},
    parking::{exports::job::ExportCsv, notifications},
    platform::entities::export,
};
use testkit::{Engine, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, MAINTENANCE, Probe, assert_nobody_got_a_mail_twice, driver_with, enqueue, file_of, files_of,
    insert, mail_settings, number, people, reaches, registry, request_export, row, settings, sha256, within,
};

/// So many rows take a worker about a second.
const STAYS: u32 = 200_000;

async fn is_underway(t: &TestApp, id: Uuid) {
    within(Duration::from_secs(30), "rows of the export", || async {
        let status = status::find(&t.app, id).await.unwrap().unwrap();
        assert!(!status.state.is_final(), "the export is too fast for this test: {status:?}");
        0 < status.current && status.current < status.total
    })
    .await;
}

async fn export_of(t: &TestApp, id: Uuid) -> export::Model {
    export::Entity::find_by_id(id).one(t.app.db.read()).await.unwrap().unwrap()
}

#[testkit::both_databases(together)]
async fn a_running_export_stops_soon_after_it_is_cancelled_and_leaves_no_file(t: TestApp) {
    let driver = driver_with(&t, STAYS).await;
    let worker = t.work();
    let id = request_export(&t, &driver).await;
    is_underway(&t, id).await;
    assert_eq!(files_of(&t, id).len(), 1, "it is being written");
    let asked = Instant::now();
    t.post(&format!("/export/csv/cancel/{id}"), Some(&driver), serde_json::json!({})).await.expect(200);
    let row = reaches(&t, id, "cancelled").await;
    eprintln!("cancelled {:?} after it was asked for", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    within(Duration::from_secs(2), "no file and no .part", || async { files_of(&t, id).is_empty() }).await;
    assert_eq!((row.attempt, row.result), (1, None));
    t.get(&format!("/export/download/{id}"), Some(&driver)).await.problem(409, "export_cancelled");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(status::find(&t.app, id).await.unwrap().unwrap().state, status::State::Cancelled);
    assert!(t.mails().iter().all(|mail| !mail.subject.contains("export")), "no mail about it");
    worker.stop().await;
}

#[testkit::both_databases]
async fn an_export_cancelled_while_it_waits_never_starts(t: TestApp) {
    let driver = driver_with(&t, 10).await;
    let (id, kept) = (request_export(&t, &driver).await, request_export(&t, &driver).await);
    t.post(&format!("/export/csv/cancel/{id}"), Some(&driver), serde_json::json!({})).await.expect(200);
    let worker = t.work();
    reaches(&t, kept, "succeeded").await;
    let row = row(&t, id).await;
    assert_eq!((row.state.as_str(), row.started_at, row.attempt), ("cancelled", None, 0));
    assert!(files_of(&t, id).is_empty());
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn a_worker_told_to_stop_finishes_what_it_runs_and_begins_nothing_new(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, STAYS).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let first = processes.worker();
    let id = request_export(&t, &driver).await;
    is_underway(&t, id).await;
    first.terminate().unwrap();
    let asked = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let late = insert(&t, &notifications::welcome(people(&t, 1).await[0]).unwrap()).await;
    queue::announce(&t.app.redis, &[late]).await;
    assert_eq!(first.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", first.log());
    eprintln!("ended {:?} after SIGTERM", asked.elapsed());
    let ended = row(&t, id).await;
    assert_eq!((ended.state.as_str(), ended.attempt), ("succeeded", 1), "{}", first.log());
    assert_eq!((row(&t, late.id).await.state.as_str(), row(&t, late.id).await.attempt), ("queued", 0));
    let second = processes.worker();
    reaches(&t, late.id, "succeeded").await;
    assert_eq!(row(&t, late.id).await.attempt, 1);
    drop(second);
}

/// It takes the whole grace of 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_longer_than_the_grace_goes_back_without_costing_an_attempt() {
    let t = TestApp::start(Engine::Sqlite).await;
    let worker = t.work_with(registry());
    let long = Probe::<MAINTENANCE>::new(&[Act::SleepMillis(120_000), Act::Succeed]);
    let short = Probe::<MAIL>::new(&[Act::SleepMillis(2_000)]);
    let (id, short_id) = (enqueue(&t, &long).await, enqueue(&t, &short).await);
    reaches(&t, id, "running").await;
    reaches(&t, short_id, "running").await;
    let asked = Instant::now();
    worker.stop().await;
    eprintln!("ended {:?} after it was told to", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let back = row(&t, id).await;
    assert_eq!((back.state.as_str(), back.attempt, back.lease_token), ("queued", 0, None));
    assert_eq!(row(&t, short_id).await.state, "succeeded");
    let next = t.work_with(registry());
    let done = reaches(&t, id, "succeeded").await;
    assert_eq!((done.attempt, long.runs().len()), (1, 2));
    next.stop().await;
}

#[testkit::both_databases(together)]
async fn a_worker_that_wakes_up_late_writes_nothing_stale(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, STAYS).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let frozen = processes.worker();
    let id = request_export(&t, &driver).await;
    is_underway(&t, id).await;
    frozen.pause().unwrap();
    assert_eq!(row(&t, id).await.state, "running", "frozen in the middle");
    let asleep = Instant::now();
    let awake = processes.worker();
    let before = reaches(&t, id, "succeeded").await;
    assert_eq!(before.attempt, 2);
    let export_before = export_of(&t, id).await;
    let (file, made) =
        (sha256(&file_of(&t, id)), std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap());
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(asleep.elapsed())).await;
    frozen.resume().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(row(&t, id).await, before);
    assert_eq!(export_of(&t, id).await, export_before);
    assert_eq!(
        (sha256(&file_of(&t, id)), std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap()),
        (file, made)
    );
    assert_eq!(files_of(&t, id).len(), 1, "the late one has cleaned up: {:?}", files_of(&t, id));
    within(Duration::from_secs(20), "mails", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'").await == 0
    })
    .await;
    let mails = sink.messages();
    assert_eq!(mails.len(), 2, "a welcome and one for the export");
    assert_nobody_got_a_mail_twice(&mails);
    // It is none the worse for it.
    awake.kill().unwrap();
    let job = insert(&t, &notifications::welcome(people(&t, 1).await[0]).unwrap()).await;
    reaches(&t, job.id, "succeeded").await;
}

/// Frozen after its last row and woken when another has finished: it must touch neither the row nor the file.
#[testkit::both_databases]
async fn a_late_run_of_an_export_records_nothing(t: TestApp) {
    let driver = driver_with(&t, 10).await;
    let id = request_export(&t, &driver).await;
    let worker = t.work();
    reaches(&t, id, "succeeded").await;
    let (before, made) =
        (export_of(&t, id).await, std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap());
    let late = Context {
        app: t.app.clone(),
        id,
        owner_id: Some(driver.id),
        attempt: 1,
        progress: Progress::default(),
    };
    let refused = ExportCsv {}.run(&late).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(export_of(&t, id).await, before);
    assert_eq!(std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap(), made);
    assert_eq!(files_of(&t, id).len(), 1);
    worker.stop().await;
}
