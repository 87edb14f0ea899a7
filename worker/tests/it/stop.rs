//! Cancelled jobs, and workers that are stopped, frozen and resumed.

use std::time::{Duration, Instant};

use devstack::MailSink;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use shared::{
    Error,
    jobs::{Context, Job, JobState, Progress, queue, status},
    parking::{exports::job::WriteExport, notifications},
    platform::entities::export,
};
use testkit::{Driver, Engine, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, MAINTENANCE, Probe, assert_no_duplicate_mails, driver_with, enqueue, file_of, files_of,
    insert, mail_settings, number, people, reaches, registry, request_export, request_export_with, row,
    settings, sha256, within,
};

/// Enough rows to keep a worker busy for about a second.
const STAYS: u32 = 200_000;

async fn wait_until_underway(t: &TestApp, id: Uuid) {
    within(Duration::from_secs(30), "the export has written rows", || async {
        let status = status::find(&t.app, id).await.unwrap().unwrap();
        assert!(!status.state.is_final(), "the export is too fast for this test: {status:?}");
        0 < status.current && status.current < status.total
    })
    .await;
}

async fn export_of(t: &TestApp, id: Uuid) -> export::Model {
    export::Entity::find_by_id(id).one(t.app.db.read()).await.unwrap().unwrap()
}

/// Cancels an export while it writes rows, and asserts that nothing is left of it.
async fn cancel_while_it_runs(t: &TestApp, driver: &Driver, options: Value) {
    let id = request_export_with(t, driver, options).await;
    wait_until_underway(t, id).await;
    assert_eq!(files_of(t, id).len(), 1, "the partial file exists");
    let asked = Instant::now();
    t.post(&format!("/export/csv/cancel/{id}"), Some(driver), json!({})).await.expect(200);
    let row = reaches(t, id, "cancelled").await;
    eprintln!("cancelled after {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    within(Duration::from_secs(2), "the files are deleted", || async { files_of(t, id).is_empty() }).await;
    assert_eq!((row.attempt, row.result), (1, None));
    t.get(&format!("/export/download/{id}"), Some(driver)).await.problem(409, "export_cancelled");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(status::find(&t.app, id).await.unwrap().unwrap().state, JobState::Cancelled);
}

#[testkit::both_databases(together)]
async fn cancelled_running_export_leaves_no_file(t: TestApp) {
    let driver = driver_with(&t, STAYS).await;
    let worker = t.work();
    cancel_while_it_runs(&t, &driver, json!({})).await;
    cancel_while_it_runs(&t, &driver, json!({ "format": "xlsx" })).await;
    assert_eq!(std::fs::read_dir(&t.app.config.upload_folder).unwrap().count(), 0, "no other file is left");
    assert!(
        t.mails().iter().all(|mail| !mail.subject.contains("export")),
        "no mail about the cancelled export"
    );
    worker.stop().await;
}

#[testkit::both_databases]
async fn export_cancelled_while_queued_never_starts(t: TestApp) {
    let driver = driver_with(&t, 10).await;
    let (id, kept) = (request_export(&t, &driver).await, request_export(&t, &driver).await);
    t.post(&format!("/export/csv/cancel/{id}"), Some(&driver), json!({})).await.expect(200);
    let worker = t.work();
    reaches(&t, kept, "succeeded").await;
    let row = row(&t, id).await;
    assert_eq!((row.state, row.started_at, row.attempt), (JobState::Cancelled, None, 0));
    assert!(files_of(&t, id).is_empty());
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn stopping_worker_finishes_running_jobs_only(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, STAYS).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let first = processes.worker();
    let id = request_export(&t, &driver).await;
    wait_until_underway(&t, id).await;
    first.terminate().unwrap();
    let asked = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let late = insert(&t, &notifications::welcome(people(&t, 1).await[0]).unwrap()).await;
    queue::announce(&t.app.redis, &[late]).await;
    assert_eq!(first.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", first.log());
    eprintln!("ended {:?} after SIGTERM", asked.elapsed());
    let ended = row(&t, id).await;
    assert_eq!((ended.state, ended.attempt), (JobState::Succeeded, 1), "{}", first.log());
    assert_eq!((row(&t, late.id).await.state, row(&t, late.id).await.attempt), (JobState::Queued, 0));
    let second = processes.worker();
    reaches(&t, late.id, "succeeded").await;
    assert_eq!(row(&t, late.id).await.attempt, 1);
    drop(second);
}

/// Takes the whole grace period of 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn job_beyond_the_grace_is_returned_uncounted() {
    let t = TestApp::start(Engine::Sqlite).await;
    let worker = t.work_with(registry());
    let long = Probe::<MAINTENANCE>::new(&[Act::SleepMillis(120_000), Act::Succeed]);
    let short = Probe::<MAIL>::new(&[Act::SleepMillis(2_000)]);
    let (id, short_id) = (enqueue(&t, &long).await, enqueue(&t, &short).await);
    reaches(&t, id, "running").await;
    reaches(&t, short_id, "running").await;
    let asked = Instant::now();
    worker.stop().await;
    eprintln!("ended {:?} after SIGTERM", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let back = row(&t, id).await;
    assert_eq!((back.state, back.attempt, back.lease_token), (JobState::Queued, 0, None));
    assert_eq!(row(&t, short_id).await.state, JobState::Succeeded);
    let next = t.work_with(registry());
    let done = reaches(&t, id, "succeeded").await;
    assert_eq!((done.attempt, long.runs().len()), (1, 2));
    next.stop().await;
}

/// Freezes a process. If it holds the lock of the SQLite file at that moment, nobody can write until it runs again, so this
/// tries once more.
async fn freeze_outside_transactions(t: &TestApp, process: &devstack::Process) {
    for _ in 0..20 {
        process.pause().unwrap();
        let write = testkit::execute(t, "UPDATE jobs SET held = held WHERE 1 = 0", []);
        if tokio::time::timeout(Duration::from_millis(500), write).await.is_ok() {
            return;
        }
        process.resume().unwrap();
    }
    panic!("the process holds the lock of the file all the time");
}

#[testkit::both_databases(together)]
async fn frozen_worker_writes_nothing_stale(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, STAYS).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let frozen = processes.worker();
    let id = request_export(&t, &driver).await;
    wait_until_underway(&t, id).await;
    freeze_outside_transactions(&t, &frozen).await;
    assert_eq!(row(&t, id).await.state, JobState::Running, "the job was running when the worker was frozen");
    let awake = processes.worker();
    let before = reaches(&t, id, "succeeded").await;
    assert_eq!(before.attempt, 2);
    let export_before = export_of(&t, id).await;
    let (file, made) =
        (sha256(&file_of(&t, id)), std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap());
    frozen.resume().unwrap();
    within(Duration::from_secs(20), "the resumed worker notices the lost lease", || async {
        frozen.log().contains("lease")
    })
    .await;
    assert_eq!(row(&t, id).await, before);
    assert_eq!(export_of(&t, id).await, export_before);
    assert_eq!(
        (sha256(&file_of(&t, id)), std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap()),
        (file, made)
    );
    assert_eq!(
        files_of(&t, id).len(),
        1,
        "the resumed worker has deleted its partial file: {:?}",
        files_of(&t, id)
    );
    within(Duration::from_secs(20), "all jobs succeed", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'").await == 0
    })
    .await;
    let mails = sink.messages();
    assert_eq!(mails.len(), 2, "one welcome mail and one for the export");
    assert_no_duplicate_mails(&mails);
    // The resumed worker still works.
    awake.kill().unwrap();
    let job = insert(&t, &notifications::welcome(people(&t, 1).await[0]).unwrap()).await;
    reaches(&t, job.id, "succeeded").await;
}

/// Frozen after its last row and resumed when another worker has finished: it must change neither row nor file.
#[testkit::both_databases]
async fn late_export_run_records_nothing(t: TestApp) {
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
    let refused = WriteExport {}.run(&late).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(export_of(&t, id).await, before);
    assert_eq!(std::fs::metadata(file_of(&t, id)).unwrap().modified().unwrap(), made);
    assert_eq!(files_of(&t, id).len(), 1);
    worker.stop().await;
}
