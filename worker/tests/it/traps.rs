//! Known problems of apalis-redis 1.0 (`docs/decisions/0003-apalis-carries-job-ids.md`), one test each, to be checked
//! at every upgrade.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use devstack::{Behaviour, MailSink, Redis};
use futures::{StreamExt, future::join_all, stream};
use redis::AsyncCommands;
use shared::{
    jobs::{
        JobState, NewJob, Queue, ledger,
        policy::{self, LEASE, MAX_CRASHES},
        queue, status,
    },
    parking::notifications,
    platform::db::at,
};
use testkit::{Engine, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    Act, Endless, MAIL, MAINTENANCE, Probe, driver_with, enqueue, enqueue_for, execute, insert, keys,
    mail_settings, make_retry_due, number, people, reaches, registry, request_export, row, settings, within,
};

/// Runs `count` jobs one by one. Returns the median time from just before the announcement to the start of the job.
async fn median_start_latency(t: &TestApp, count: usize) -> Duration {
    let mut latencies = Vec::new();
    for _ in 0..count {
        let probe = Probe::<MAIL>::new(&[Act::Succeed]);
        let before = Instant::now();
        let id = enqueue(t, &probe).await;
        reaches(t, id, "succeeded").await;
        latencies.push(probe.runs()[0] - before);
        // Avoids running in step with the worker's polling.
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
    latencies.sort();
    latencies[count / 2]
}

/// Runs a job to its end, after which the worker is known to listen.
async fn warm_up(t: &TestApp) {
    let id = enqueue(t, &Probe::<MAIL>::new(&[Act::Succeed])).await;
    reaches(t, id, "succeeded").await;
}

#[testkit::both_databases]
async fn trap_1_pushed_job_starts_before_the_heartbeat(t: TestApp) {
    let worker = t.work_with(registry());
    warm_up(&t).await;
    let median = median_start_latency(&t, 30).await;
    eprintln!("median of 30 starts: {median:?}");
    assert!(median < Duration::from_millis(100), "{median:?}");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn trap_2_redis_backlog_stays_bounded(t: TestApp) {
    let job = Probe::<MAIL>::new(&[Act::Succeed]);
    let tx = t.app.db.begin().await.unwrap();
    for _ in 0..5_000 {
        ledger::insert(&tx, t.app.clock.now(), &NewJob::of(&job).unwrap()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let most = AtomicU64::new(0);
    let watching = async {
        loop {
            most.fetch_max(queue::waiting(&t.app.redis, Queue::Mail).await.unwrap(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let left = "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'";
    let began = Instant::now();
    let worker = t.work_with(registry());
    tokio::select! {
        () = watching => {}
        () = within(Duration::from_secs(180), "5,000 jobs are done", || async { number(&t, left).await == 0 }) => {}
    }
    eprintln!("{:?}: 5,000 jobs in {:?}; at most {most:?} waited in Redis", t.engine, began.elapsed());
    assert!((100..=queue::MAX_WAITING + 100).contains(&most.into_inner()));
    assert_eq!(job.runs().len(), 5_000);
    worker.stop().await;
}

/// apalis can unpack some 8,000 due messages at once, and then stops for good.
#[testkit::both_databases]
async fn trap_2_mass_announcement_does_not_wedge_the_queue(t: TestApp) {
    let known = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    let many: Vec<_> = (0..10_000).map(|_| ledger::Enqueued { id: Uuid::new_v4(), ..known }).collect();
    queue::announce(&t.app.redis, &many).await;
    let waiting = queue::waiting(&t.app.redis, Queue::Mail).await.unwrap();
    assert!((1..=queue::MAX_WAITING).contains(&waiting), "{waiting} messages");
    let worker = t.work_with(registry());
    reaches(&t, known.id, "succeeded").await;
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn trap_3_saturated_worker_keeps_its_heartbeat(t: TestApp) {
    let quick = || Probe::<MAINTENANCE>::new(&[Act::Succeed]);
    let first = t.work_with(registry());
    let (done, long) = (quick(), Probe::<MAINTENANCE>::new(&[Act::SleepMillis(6_000)]));
    let done_id = enqueue(&t, &done).await;
    reaches(&t, done_id, "succeeded").await;
    let long_id = enqueue(&t, &long).await;
    reaches(&t, long_id, "running").await;
    let second = t.work_with(registry());
    let later: Vec<_> = (0..5).map(|_| quick()).collect();
    let mut ids = vec![done_id, long_id];
    for probe in &later {
        ids.push(enqueue(&t, probe).await);
    }
    let workers = queue::config(&t.app.redis, Queue::Maintenance).workers_set();
    let mut beats = 0;
    while row(&t, long_id).await.state == JobState::Running {
        let seen: Vec<(String, i64)> =
            t.app.redis.queue.connection().unwrap().zrange_withscores(&workers, 0, -1).await.unwrap();
        let oldest = seen.iter().map(|(_, beat)| *beat).min().unwrap();
        let age = t.app.clock.now().timestamp() - oldest;
        assert!(age <= 3, "a heartbeat is {age} s old while its worker is busy");
        beats += usize::from(seen.len() == 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(beats > 10, "both workers send heartbeats");
    for id in ids {
        assert_eq!(reaches(&t, id, "succeeded").await.attempt, 1);
    }
    for probe in later.iter().chain([&done, &long]) {
        assert_eq!(probe.runs().len(), 1);
    }
    let queue = format!("{}:maintenance:workers:metadata:*", t.app.config.redis_prefix);
    assert_eq!(keys(&t, &queue).await.len(), 2, "no consumer was replaced");
    let end_of_long = long.runs()[0] + Duration::from_secs(6);
    assert!(later.iter().all(|probe| probe.runs()[0] < end_of_long), "the idle worker ran the waiting jobs");
    tokio::join!(first.stop(), second.stop());
}

#[testkit::both_databases(together)]
async fn trap_4_worker_survives_redis_freeze_and_restart(t: TestApp, mut redis: Redis) {
    let worker = t.work_with(registry());
    warm_up(&t).await;
    redis.pause().unwrap();
    let meanwhile = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    redis.resume().unwrap();
    let back = Instant::now();
    reaches(&t, meanwhile.id, "succeeded").await;
    eprintln!("frozen for 1 s: working again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());

    for _ in 0..2 {
        redis.kill().await.unwrap();
        let meanwhile = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        redis.restart().await.unwrap();
        let back = Instant::now();
        reaches(&t, meanwhile.id, "succeeded").await;
        eprintln!("killed and restarted: working again after {:?}", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let median = median_start_latency(&t, 20).await;
    assert!(median < Duration::from_millis(100), "notifications work again: {median:?}");
    worker.stop().await;
}

/// A freeze that exceeds the consumer's timeout: the consumer ends and is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn trap_4_worker_survives_a_long_redis_freeze() {
    let redis = devstack::Redis::start().await.unwrap();
    let t = TestApp::start_with(Engine::Sqlite, &[("REDIS_PORT", &redis.port().to_string())]).await;
    let sink = MailSink::start().await.unwrap();
    let worker = Processes::of(&t, &settings(&mail_settings(sink.addr().port()), &[])).worker();
    let users = people(&t, 2).await;
    let before = insert(&t, &notifications::welcome(users[0]).unwrap()).await;
    reaches(&t, before.id, "succeeded").await;
    redis.pause().unwrap();
    let gives_up = || async { worker.log().contains("consumer ended") };
    within(Duration::from_secs(60), "a consumer gives up", gives_up).await;
    let meanwhile = insert(&t, &notifications::welcome(users[1]).unwrap()).await;
    redis.resume().unwrap();
    let back = Instant::now();
    reaches(&t, meanwhile.id, "succeeded").await;
    eprintln!("after a long freeze: working again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[testkit::both_databases(together)]
async fn trap_5_restarted_worker_recovers_orphaned_jobs(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    sink.set(Behaviour::Hang);
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[("WORKER_MAIL", "2")]));
    let killed = processes.worker();
    let mut ids = Vec::new();
    for user in people(&t, 6).await {
        let job = insert(&t, &notifications::welcome(user).unwrap()).await;
        queue::announce(&t.app.redis, &[job]).await;
        ids.push(job.id);
    }
    within(Duration::from_secs(20), "two mails hang", || async { sink.attempts() == 2 }).await;
    let names = keys(&t, "*:workers:metadata:*").await;
    killed.kill().unwrap();
    let dead = Instant::now();
    sink.set(Behaviour::Accept);
    let restarted = processes.worker();
    for id in ids {
        reaches(&t, id, "succeeded").await;
    }
    eprintln!("everything recovered {:?} after the kill", dead.elapsed());
    assert!(
        dead.elapsed() < Duration::from_secs(8),
        "{:?}, including the start of a process",
        dead.elapsed()
    );
    let mails = sink.messages();
    assert_eq!(mails.len(), 6);
    crate::support::assert_no_duplicate_mails(&mails);
    let queue = format!("{}:mail:", t.app.config.redis_prefix);
    let of = |names: &[String]| -> BTreeSet<String> {
        names.iter().filter(|name| name.starts_with(&queue)).cloned().collect()
    };
    let (old, all) = (of(&names), of(&keys(&t, "*:workers:metadata:*").await));
    assert_eq!((old.len(), all.difference(&old).count()), (1, 1), "each start uses a new name");
    drop(restarted);
}

#[testkit::both_databases(together)]
async fn trap_6_attempts_follow_the_ledger(t: TestApp) {
    let worker = t.work_with(registry());
    let (moody, hopeless) = (Probe::<MAIL>::new(&[Act::FailForNow]), Probe::<MAIL>::new(&[Act::FailForGood]));
    let (id, hopeless_id) = (enqueue(&t, &moody).await, enqueue(&t, &hopeless).await);
    for attempt in 1..=2 {
        let tried = async || {
            Some(row(&t, id).await).filter(|row| row.state == JobState::Queued && row.attempt == attempt)
        };
        within(Duration::from_secs(20), "a retry is planned", async || tried().await.is_some()).await;
        let planned = row(&t, id).await;
        let pause = planned.run_at - t.app.clock.now();
        assert!(pause <= chrono::TimeDelta::from_std(policy::backoff(attempt, 1.0)).unwrap(), "{pause}");
        assert!(planned.error.unwrap().contains("not today"));
        execute(&t, "UPDATE jobs SET run_at = created_at WHERE id = $1", [id.into()]).await;
    }
    let failed = reaches(&t, id, "failed").await;
    assert_eq!((failed.attempt, moody.runs().len()), (3, 3));
    let failed = reaches(&t, hopeless_id, "failed").await;
    assert_eq!((failed.attempt, hopeless.runs().len(), failed.error.as_deref()), (1, 1, Some("never")));

    // apalis does not retry by itself, either: no message of these jobs is left in Redis.
    let messages = || async { queue::waiting(&t.app.redis, Queue::Mail).await.unwrap() == 0 };
    within(Duration::from_secs(10), "no message is waiting", messages).await;
    let prefix = &t.app.config.redis_prefix;
    let inflight = || async { keys(&t, &format!("{prefix}:*:inflight:*")).await.is_empty() };
    within(Duration::from_secs(10), "no message is in flight", inflight).await;
    assert_eq!((moody.runs().len(), hopeless.runs().len()), (3, 1));
    worker.stop().await;
}

#[testkit::both_databases]
async fn trap_6_job_succeeds_after_one_failure(t: TestApp) {
    let worker = t.work_with(registry());
    let moody = Probe::<MAIL>::new(&[Act::FailForNow, Act::Succeed]);
    let id = enqueue(&t, &moody).await;
    make_retry_due(&t, id, 1).await;
    let row = reaches(&t, id, "succeeded").await;
    assert_eq!((row.attempt, moody.runs().len(), row.error), (2, 2, None));
    worker.stop().await;
}

#[testkit::both_databases]
async fn trap_7_poison_job_is_dead_after_three_starts(t: TestApp) {
    let probe = Probe::<MAIL>::new(&[Act::Succeed]);
    let poison = insert(&t, &NewJob::of(&probe).unwrap()).await;
    // Three workers claimed the job, one after the other, and vanished.
    let hour_ago = t.app.clock.now() - chrono::TimeDelta::hours(1);
    execute(&t, "UPDATE jobs SET run_at = $2 WHERE id = $1", [poison.id.into(), at(hour_ago - LEASE * 9)])
        .await;
    for start in (0..MAX_CRASHES).rev() {
        let then = hour_ago - LEASE * (2 * u32::try_from(start).unwrap());
        assert!(ledger::claim(&t.app.db, then, LEASE, "vanished", poison.id).await.unwrap().is_some());
    }
    let worker = t.work_with(registry());
    let row = reaches(&t, poison.id, "failed").await;
    assert_eq!(row.attempt, MAX_CRASHES);
    assert!(row.error.unwrap().contains("vanished three times"));
    assert!(probe.runs().is_empty(), "no fourth start");
    warm_up(&t).await;
    let found = status::find(&t.app, poison.id).await.unwrap().unwrap();
    assert_eq!(found.state, JobState::Failed);
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn trap_7_poison_export_delays_nobody(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = driver_with(&t, 300_000).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    let id = request_export(&t, &driver).await;
    for attempt in 1..=MAX_CRASHES {
        let worker = processes.worker();
        let user = people(&t, 1).await[0];
        let other = insert(&t, &notifications::welcome(user).unwrap()).await;
        queue::announce(&t.app.redis, &[other]).await;
        within(Duration::from_secs(10), "the mail is sent nevertheless", || async {
            row(&t, other.id).await.state == JobState::Succeeded
        })
        .await;
        within(Duration::from_secs(20), "the export is started", || async {
            let row = row(&t, id).await;
            (row.state, row.attempt) == (JobState::Running, attempt)
        })
        .await;
        worker.kill().unwrap();
        assert_eq!(
            row(&t, id).await.state,
            JobState::Running,
            "the job was running when the worker was killed"
        );
    }
    let last = processes.worker();
    let row = reaches(&t, id, "failed").await;
    assert_eq!((row.attempt, row.crashes), (MAX_CRASHES, MAX_CRASHES - 1));
    assert!(!crate::support::file_of(&t, id).exists());
    t.get(&format!("/export/download/{id}"), Some(&driver)).await.problem(409, "export_failed");
    drop(last);
}

#[testkit::both_databases]
async fn trap_8_pushes_with_one_key_are_one_job(t: TestApp) {
    let worker = t.work_with(registry());
    let probe = Probe::<MAIL>::new(&[Act::SleepMillis(300)]);
    let job = || NewJob::of(&probe).unwrap().unique("one");
    let jobs = join_all((0..3).map(|_| async { insert(&t, &job()).await })).await;
    queue::announce(&t.app.redis, &jobs).await;
    assert!(jobs.iter().all(|job| job.id == jobs[0].id), "{jobs:?}");
    reaches(&t, jobs[0].id, "succeeded").await;
    assert_eq!(probe.runs().len(), 1);
    let again = insert(&t, &job()).await;
    assert_ne!(again.id, jobs[0].id, "the key is free after the end");
    queue::announce(&t.app.redis, &[again]).await;
    reaches(&t, again.id, "succeeded").await;
    assert_eq!(probe.runs().len(), 2);
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn trap_9_finished_jobs_leave_only_a_status(t: TestApp) {
    let worker = t.work_with(registry());
    let probe = Probe::<MAIL>::new(&[Act::Succeed]);
    let owner = people(&t, 1).await[0];
    // A few at a time: SQLite has a single writer, and writes time out after three seconds.
    let enqueueing = stream::iter(0..200).map(|_| enqueue_for(&t, owner, &probe));
    let ids: Vec<_> = enqueueing.buffered(8).collect().await;
    for id in &ids {
        reaches(&t, *id, "succeeded").await;
    }
    let failed = enqueue(&t, &Probe::<MAIL>::new(&[Act::FailForGood])).await;
    reaches(&t, failed, "failed").await;
    let prefix = &t.app.config.redis_prefix;
    let left = async || {
        let all = keys(&t, &format!("{prefix}:*")).await;
        let others = |key: &&String| !key.starts_with(&format!("{prefix}:job:")) && !key.contains(":workers");
        all.iter().filter(others).cloned().collect::<Vec<_>>()
    };
    let empty = within(Duration::from_secs(5), "the keys of the queue are gone", || async {
        left().await.is_empty()
    });
    if tokio::time::timeout(Duration::from_secs(4), empty).await.is_err() {
        panic!("left behind: {:?}", left().await);
    }
    for id in ids {
        let ttl: i64 = t.app.redis.queue.connection().unwrap().ttl(t.app.redis.keys().job(id)).await.unwrap();
        assert!((1..=24 * 3600).contains(&ttl), "{ttl}");
    }
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn trap_9_departed_workers_leave_nothing_in_redis(t: TestApp) {
    let prefix = &t.app.config.redis_prefix;
    for _ in 0..4 {
        let worker = t.work_with(registry());
        warm_up(&t).await;
        worker.stop().await;
    }
    let left = keys(&t, &format!("{prefix}:*:workers:metadata:*")).await;
    let bounded = join_all(
        left.iter()
            .map(async |key| t.app.redis.queue.connection().unwrap().ttl::<_, i64>(key).await.unwrap() > 0),
    )
    .await;
    assert!(
        bounded.into_iter().all(|has_ttl| has_ttl),
        "{} keys, some without an expiry: {:?}",
        left.len(),
        left.first()
    );
}

#[testkit::both_databases]
async fn trap_10_panics_and_timeouts_are_recorded(t: TestApp) {
    let worker = t.work_with(registry());
    let (clumsy, endless) = (Probe::<MAIL>::new(&[Act::Panic]), Endless {});
    let (id, endless_id) = (enqueue(&t, &clumsy).await, enqueue(&t, &endless).await);
    for attempt in 1..=2 {
        make_retry_due(&t, id, attempt).await;
    }
    let panicked = reaches(&t, id, "failed").await;
    assert_eq!((panicked.attempt, clumsy.runs().len()), (3, 3));
    assert!(panicked.error.as_deref().unwrap().contains("it panicked: on purpose"), "{:?}", panicked.error);
    let timed_out = reaches(&t, endless_id, "failed").await;
    assert!(timed_out.error.as_deref().unwrap().contains("longer than 300ms"), "{:?}", timed_out.error);
    for id in [id, endless_id] {
        let found = status::find(&t.app, id).await.unwrap().unwrap();
        assert_eq!((found.state, found.error.as_deref()), (JobState::Failed, Some("internal error")));
    }
    warm_up(&t).await;
    worker.stop().await;
}
