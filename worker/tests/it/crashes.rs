//! Crashes and outages of workers, APIs, Redis and databases: every committed job ends, with one visible effect.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use devstack::{ChaosProxy, MailSink, Mode, Redis};
use futures::{TryStreamExt, future::join_all};
use serde_json::json;
use shared::{
    jobs::{JobState, queue, status},
    parking::{
        bookings::history::{self, Filter},
        notifications,
    },
};
use testkit::{Driver, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, Probe, assert_no_duplicate_mails, driver_with, enqueue, execute, file_of, files_of, insert,
    keys, mail_settings, number, people, reaches, registry, request_export, row, settings, sha256, within,
};

/// Enough rows to keep a worker busy for about a second.
const STAYS: u32 = 200_000;

const UNFINISHED: &str = "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'";

/// Waits until every job has succeeded.
async fn all_succeed(t: &TestApp) {
    within(Duration::from_secs(60), "every job succeeds", || async { number(t, UNFINISHED).await == 0 })
        .await;
}

/// Waits until the export has written some of its rows.
async fn wait_until_underway(t: &TestApp, id: Uuid) {
    within(Duration::from_secs(30), "the export has written rows", || async {
        let status = status::find(&t.app, id).await.unwrap().unwrap();
        assert!(!status.state.is_final(), "the export is too fast for this test: {status:?}");
        0 < status.current && status.current < status.total
    })
    .await;
}

/// Polls a file and asserts that it is either missing or complete. Stopping it returns how often the file was seen.
fn watch(path: PathBuf, whole: u64) -> impl FnOnce() -> u64 {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watcher = std::thread::spawn(move || {
        let mut seen = 0;
        while !stopped.load(Ordering::Relaxed) {
            if let Ok(file) = std::fs::metadata(&path) {
                assert_eq!(file.len(), whole, "only complete files are visible");
                seen += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        seen
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        watcher.join().expect("no partial file was visible")
    }
}

#[testkit::both_databases(together)]
async fn killed_worker_export_is_completed_by_another(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, STAYS).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let first = processes.worker();
    let calm = request_export(&t, &driver).await;
    reaches(&t, calm, "succeeded").await;
    let (bytes, expected) = (std::fs::metadata(file_of(&t, calm)).unwrap().len(), sha256(&file_of(&t, calm)));
    all_succeed(&t).await;

    let id = request_export(&t, &driver).await;
    let seen = watch(file_of(&t, id), bytes);
    wait_until_underway(&t, id).await;
    first.kill().unwrap();
    assert_eq!(row(&t, id).await.state, JobState::Running, "the job was running when the worker was killed");
    assert!(!file_of(&t, id).exists());
    let part = files_of(&t, id);
    assert!(part.len() == 1 && part[0].ends_with(".part"), "a kill leaves one partial file: {part:?}");
    for path in [id.to_string(), part[0].clone(), part[0].trim_end_matches(".part").to_owned()] {
        let answer = t.get(&format!("/export/download/{path}"), Some(&driver)).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }

    let second = processes.worker();
    let row = reaches(&t, id, "succeeded").await;
    assert_eq!(row.attempt, 2);
    assert_eq!(sha256(&file_of(&t, id)), expected);
    let result: serde_json::Value = serde_json::from_str(row.result.as_deref().unwrap()).unwrap();
    assert_eq!(
        (result["sha256"].as_str(), result["rows"].as_i64()),
        (Some(expected.as_str()), Some(STAYS.into()))
    );
    let file = t.get(&format!("/export/download/{id}"), Some(&driver)).await.expect(200);
    assert_eq!(file.text.len() as u64, bytes);
    all_succeed(&t).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(seen() > 0, "the watcher saw the file");
    let mails = sink.messages();
    assert_eq!(mails.len(), 3, "one welcome mail and one for each export");
    assert_no_duplicate_mails(&mails);
    drop(second);
}

#[testkit::both_databases(together)]
async fn unannounced_job_still_runs(t: TestApp) {
    let probe = Probe::<MAIL>::new(&[Act::Succeed]);
    let worker = t.work_with(registry());
    let job = insert(&t, &shared::jobs::NewJob::of(&probe).unwrap()).await;
    reaches(&t, job.id, "succeeded").await;
    assert_eq!(probe.runs().len(), 1);
    worker.stop().await;
}

/// The API cannot reach Redis, so it announces no jobs, and is killed while bookings come in.
#[testkit::both_databases(together)]
async fn killed_api_loses_only_uncommitted_work(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let lot = t.lot(40).await;
    let drivers: Vec<Driver> = join_all((0..20).map(async |n| t.driver(&format!("driver {n}")).await)).await;
    execute(&t, "DELETE FROM jobs", []).await;
    let unused_port = devstack::free_port().unwrap().to_string();
    let (api, base) = api_without_redis(&t, &unused_port).await;

    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let book = async |driver: &Driver| {
        let request = http.post(format!("{base}/booking/book-spot")).bearer_auth(&driver.token);
        let body = json!({ "lot_id": lot }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await;
        answer.is_ok_and(|answer| answer.status() == 201)
    };
    let booked = "SELECT COUNT(*) AS n FROM reservations";
    let killing = async {
        within(Duration::from_secs(20), "some bookings are made", || async { number(&t, booked).await >= 3 })
            .await;
        api.kill().unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(drivers.iter().map(book)), killing);
    let confirmed = answers.iter().filter(|booked| **booked).count() as i64;
    // In one statement, as PostgreSQL may still be committing the last statements of the killed process.
    let difference = format!("SELECT ({booked}) - ({UNFINISHED}) AS n");
    assert_eq!(number(&t, &difference).await, 0, "each booking commits together with its mail");

    let mail = mail_settings(sink.addr().port());
    let worker = Processes::of(&t, &settings(&mail, &[])).worker();
    all_succeed(&t).await;
    let (bookings, mails) = (number(&t, booked).await, sink.messages());
    eprintln!("{confirmed} confirmed, {bookings} booked");
    assert!(confirmed <= bookings && bookings >= 3);
    assert_eq!(mails.len() as i64, bookings);
    assert_no_duplicate_mails(&mails);
    drop(worker);
}

/// Starts an API that cannot reach Redis. It logs that when asked for its health, which shows that it listens.
async fn api_without_redis(t: &TestApp, port: &str) -> (devstack::Process, String) {
    let address = format!("127.0.0.1:{}", devstack::free_port().unwrap());
    let mut settings = t.settings().to_vec();
    settings.retain(|(name, _)| name != "REDIS_PORT");
    settings.extend([("REDIS_PORT".to_owned(), port.to_owned()), ("HTTP_ADDR".to_owned(), address.clone())]);
    let log = t.folder().join("api.log");
    let api = devstack::App::spawn(&testkit::binary("parkade-api"), ["serve"], &settings, t.folder(), &log)
        .unwrap();
    within(Duration::from_secs(30), "the API listens", || async {
        tokio::net::TcpStream::connect(&address).await.is_ok()
    })
    .await;
    (api, format!("http://{address}/api"))
}

#[testkit::both_databases(together)]
async fn redis_restart_loses_and_duplicates_nothing(t: TestApp, mut redis: Redis) {
    let sink = MailSink::start().await.unwrap();
    // Each mail takes a third of a second.
    let slow = ChaosProxy::start(sink.addr()).await.unwrap();
    slow.set(Mode::Delay(Duration::from_millis(30))).await.unwrap();
    let mail = mail_settings(slow.addr().port());
    let worker = Processes::of(&t, &settings(&mail, &[("WORKER_MAIL", "4")])).worker();
    let users = people(&t, 40).await;
    let (early, late) = users.split_at(30);
    for user in early {
        let job = insert(&t, &notifications::welcome(*user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    sink.wait_for(|mails| mails.len() >= 5, Duration::from_secs(20)).await.unwrap();
    redis.kill().await.unwrap();
    let left = number(&t, UNFINISHED).await;
    assert!((1..30).contains(&left), "the worker should be half done: {left} jobs left");
    for user in late {
        let job = insert(&t, &notifications::welcome(*user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.wait(Duration::ZERO).await.is_err(), "the worker should still run:\n{}", worker.log());
    redis.restart().await.unwrap();
    all_succeed(&t).await;
    let mails = sink.messages();
    assert_eq!(mails.len(), users.len());
    assert_no_duplicate_mails(&mails);
}

#[testkit::both_databases(together)]
async fn emptied_redis_loses_no_job(t: TestApp, redis: Redis) {
    let sink = MailSink::start().await.unwrap();
    let slow = ChaosProxy::start(sink.addr()).await.unwrap();
    slow.set(Mode::Delay(Duration::from_millis(10))).await.unwrap();
    let users = people(&t, 60).await;
    for user in &users {
        let job = insert(&t, &notifications::welcome(*user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    assert_eq!(queue::waiting(&t.app.redis, shared::jobs::Queue::Mail).await.unwrap(), 60);
    redis.flush_all().await.unwrap();
    let mail = mail_settings(slow.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[("WORKER_MAIL", "4")]));
    let workers = [processes.worker(), processes.worker()];
    for mails_so_far in [10, 30] {
        sink.wait_for(|mails| mails.len() >= mails_so_far, Duration::from_secs(30)).await.unwrap();
        redis.flush_all().await.unwrap();
    }
    all_succeed(&t).await;
    let mails = sink.messages();
    assert_eq!(mails.len(), users.len());
    assert_no_duplicate_mails(&mails);
    assert!(number(&t, "SELECT MAX(attempt) AS n FROM jobs").await == 1, "no job ran twice");
    drop(workers);
}

/// Killed workers leave ids that Redis redelivers when their jobs are long done. Workers must tolerate them.
#[testkit::both_databases(together)]
async fn queue_is_as_fast_after_a_kill(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    sink.set(devstack::Behaviour::Hang);
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let (killed, survivor) = (processes.worker(), processes.worker());
    for user in people(&t, 8).await {
        let job = insert(&t, &notifications::welcome(user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    within(Duration::from_secs(10), "eight mails hang", || async { sink.attempts() == 8 }).await;
    killed.kill().unwrap();
    survivor.kill().unwrap();
    sink.set(devstack::Behaviour::Accept);
    let worker = processes.worker();
    all_succeed(&t).await;
    let prefix = &t.app.config.redis_prefix;
    let returned = || async { keys(&t, &format!("{prefix}:*:inflight:*")).await.is_empty() };
    within(Duration::from_secs(30), "the messages of the killed workers are redelivered", returned).await;
    let replaced = worker.log().matches("consumer ended").count();
    assert!(replaced <= 2, "{replaced} consumers were replaced:\n{}", worker.log());
    drop(worker);
    let work = t.work_with(registry());
    let id = enqueue(&t, &Probe::<MAIL>::new(&[Act::Succeed])).await;
    reaches(&t, id, "succeeded").await;
    work.stop().await;
}

/// Otherwise the next user of the connection would write into a transaction that is never committed.
#[testkit::both_databases(together)]
async fn dropped_begin_leaves_no_open_transaction(t: TestApp) {
    for pause in 0..60 {
        let mut begin = Box::pin(t.app.db.begin());
        let _ = futures::poll!(&mut begin);
        tokio::time::sleep(Duration::from_micros(50 * (pause % 10))).await;
        drop(begin);
    }
    people(&t, 60).await;
    let elsewhere = t.second_process(&[]).await;
    assert_eq!(number(&elsewhere, "SELECT COUNT(*) AS n FROM users").await, 60, "all rows are committed");
}

/// Unread rows must not be taken for the result of the next query on the connection.
#[testkit::both_databases(together)]
async fn dropped_copy_does_not_corrupt_the_connection(t: TestApp) {
    let driver = driver_with(&t, 20_000).await;
    let filter = Filter { user_id: Some(driver.id), ..Filter::default() };
    for _ in 0..12 {
        let mut lines = history::lines(&t.app.db, &filter);
        assert!(!lines.try_next().await.unwrap().expect("a first line").is_empty());
    }
    for expected in 0..200 {
        assert_eq!(number(&t, &format!("SELECT {expected} + 0 * MIN(id) AS n FROM users")).await, expected);
    }
}
