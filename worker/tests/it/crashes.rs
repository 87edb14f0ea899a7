//! What is killed, emptied or taken away, and what comes of the work: every committed job ends, once for all to see.

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
    jobs::{queue, status},
    parking::{
        bookings::history::{self, Filter},
        notifications,
    },
};
use testkit::{Driver, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    Act, MAIL, Probe, assert_nobody_got_a_mail_twice, driver_with, enqueue, execute, file_of, files_of,
    insert, mail_settings, number, people, reaches, registry, request_export, row, settings, sha256, within,
};

/// So many rows take a worker about a second.
const STAYS: u32 = 200_000;

const UNFINISHED: &str = "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'";

/// Waits until every job has succeeded.
async fn all_succeed(t: &TestApp) {
    within(Duration::from_secs(60), "every job succeeded", || async { number(t, UNFINISHED).await == 0 })
        .await;
}

/// Waits until the export has written some of its rows.
async fn is_underway(t: &TestApp, id: Uuid) {
    within(Duration::from_secs(30), "rows of the export", || async {
        let status = status::find(&t.app, id).await.unwrap().unwrap();
        assert!(!status.state.is_final(), "the export is too fast for this test: {status:?}");
        0 < status.current && status.current < status.total
    })
    .await;
}

/// Looks at a file all the time: it is not there, or it is whole. Returns how often it was seen, once stopped.
fn watch(path: PathBuf, whole: u64) -> impl FnOnce() -> u64 {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let looking = std::thread::spawn(move || {
        let mut seen = 0;
        while !stopped.load(Ordering::Relaxed) {
            if let Ok(file) = std::fs::metadata(&path) {
                assert_eq!(file.len(), whole, "a partial file is visible");
                seen += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        seen
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        looking.join().expect("only whole files")
    }
}

#[testkit::both_databases(together)]
async fn a_worker_killed_in_the_middle_of_an_export_is_replaced_and_nobody_can_tell(t: TestApp) {
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
    is_underway(&t, id).await;
    first.kill().unwrap();
    assert_eq!(row(&t, id).await.state, "running", "killed in the middle");
    assert!(!file_of(&t, id).exists());
    let part = files_of(&t, id);
    assert!(part.len() == 1 && part[0].ends_with(".part"), "what a kill leaves: {part:?}");
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
    assert_eq!(mails.len(), 3, "a welcome and one for each export");
    assert_nobody_got_a_mail_twice(&mails);
    drop(second);
}

#[testkit::both_databases(together)]
async fn a_job_that_nobody_announced_runs(t: TestApp) {
    let probe = Probe::<MAIL>::new(&[Act::Succeed]);
    let worker = t.work_with(registry());
    let job = insert(&t, &shared::jobs::NewJob::of(&probe).unwrap()).await;
    reaches(&t, job.id, "succeeded").await;
    assert_eq!(probe.runs().len(), 1);
    worker.stop().await;
}

/// Its Redis is away, so no job is announced, and it is killed while bookings come in.
#[testkit::both_databases(together)]
async fn what_a_killed_api_had_committed_is_done_and_the_rest_never_was(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let lot = t.lot(40).await;
    let drivers: Vec<Driver> = join_all((0..20).map(async |n| t.driver(&format!("driver {n}")).await)).await;
    execute(&t, "DELETE FROM jobs", []).await;
    let nobody = devstack::free_port().unwrap().to_string();
    let (api, base) = api_without_redis(&t, &nobody).await;

    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let book = async |driver: &Driver| {
        let request = http.post(format!("{base}/booking/book-spot")).bearer_auth(&driver.token);
        let body = json!({ "lot_id": lot }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await;
        answer.is_ok_and(|answer| answer.status() == 201)
    };
    let booked = "SELECT COUNT(*) AS n FROM reservations";
    let killing = async {
        within(Duration::from_secs(20), "some bookings", || async { number(&t, booked).await >= 3 }).await;
        api.kill().unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(drivers.iter().map(book)), killing);
    let promised = answers.iter().filter(|booked| **booked).count() as i64;
    let (bookings, jobs) = (number(&t, booked).await, number(&t, UNFINISHED).await);
    eprintln!("{promised} promised, {bookings} booked");
    assert!(promised <= bookings && bookings >= 3);
    assert_eq!(bookings, jobs, "a booking and its mail are one change");

    let mail = mail_settings(sink.addr().port());
    let worker = Processes::of(&t, &settings(&mail, &[])).worker();
    all_succeed(&t).await;
    let mails = sink.messages();
    assert_eq!(mails.len() as i64, bookings);
    assert_nobody_got_a_mail_twice(&mails);
    drop(worker);
}

/// An API that cannot reach Redis. It says so when asked for its health, so its log tells when it listens.
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
async fn redis_killed_and_restarted_under_a_working_worker_loses_and_doubles_nothing(
    t: TestApp,
    mut redis: Redis,
) {
    let sink = MailSink::start().await.unwrap();
    // A mail takes a third of a second.
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
    assert!((1..30).contains(&left), "in the middle: {left} left");
    for user in late {
        let job = insert(&t, &notifications::welcome(*user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(worker.wait(Duration::ZERO).await.is_err(), "the worker is still there:\n{}", worker.log());
    redis.restart().await.unwrap();
    all_succeed(&t).await;
    let mails = sink.messages();
    assert_eq!(mails.len(), users.len());
    assert_nobody_got_a_mail_twice(&mails);
}

#[testkit::both_databases(together)]
async fn an_emptied_redis_loses_no_job(t: TestApp, redis: Redis) {
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
    assert_nobody_got_a_mail_twice(&mails);
    assert!(number(&t, "SELECT MAX(attempt) AS n FROM jobs").await == 1, "nothing ran twice");
    drop(workers);
}

/// A killed worker leaves ids that Redis gives back later, when their jobs are long done. Nobody may choke on them.
#[testkit::both_databases(together)]
async fn after_a_kill_the_queue_is_as_quick_as_before(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    sink.set(devstack::Behaviour::Hang);
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let (killed, survivor) = (processes.worker(), processes.worker());
    for user in people(&t, 8).await {
        let job = insert(&t, &notifications::welcome(user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
    }
    within(Duration::from_secs(10), "mails that hang", || async { sink.attempts() == 8 }).await;
    killed.kill().unwrap();
    survivor.kill().unwrap();
    sink.set(devstack::Behaviour::Accept);
    let worker = processes.worker();
    all_succeed(&t).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    let replaced = worker.log().matches("consumer ended").count();
    assert!(replaced <= 2, "{replaced} consumers ended:\n{}", worker.log());
    drop(worker);
    let work = t.work_with(registry());
    let id = enqueue(&t, &Probe::<MAIL>::new(&[Act::Succeed])).await;
    reaches(&t, id, "succeeded").await;
    work.stop().await;
}

/// Else the next user of its connection would write into a transaction that nobody commits.
#[testkit::both_databases(together)]
async fn a_transaction_whose_caller_is_dropped_while_it_begins_is_not_left_open(t: TestApp) {
    for pause in 0..60 {
        let mut begin = Box::pin(t.app.db.begin());
        let _ = futures::poll!(&mut begin);
        tokio::time::sleep(Duration::from_micros(50 * (pause % 10))).await;
        drop(begin);
    }
    people(&t, 60).await;
    let elsewhere = t.second_process(&[]).await;
    assert_eq!(number(&elsewhere, "SELECT COUNT(*) AS n FROM users").await, 60, "all are committed");
}

/// What was not read yet must not be taken for the answer to somebody else's question.
#[testkit::both_databases(together)]
async fn an_export_that_is_dropped_in_the_middle_leaves_no_wrong_answers_behind(t: TestApp) {
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
