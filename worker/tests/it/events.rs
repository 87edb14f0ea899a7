//! Following running jobs: every end is reported, in order, whatever happens to Redis, workers or followers.

use devstack::Redis;
use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    Error, Result,
    jobs::{self, Context, Done, Job, JobState, NewJob, Queue, status::Version},
};
use testkit::{Event, TestApp};
use uuid::Uuid;
use worker::registry::Registry;

use crate::support::{Act, MAIL, Probe, enqueue_for, insert, make_retry_due, number, reaches, registry, row};

/// A job with a hundred steps per run, whose first runs fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Steps {
    pause_millis: u64,
    fails: i64,
}

impl Job for Steps {
    const NAME: &'static str = "steps";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> Result<Done> {
        for step in 1..=100 {
            context.progress.set(step, 100);
            tokio::time::sleep(Duration::from_millis(self.pause_millis)).await;
            if step == 50 && context.attempt <= self.fails {
                return Err(Error::Unavailable(anyhow::anyhow!("not today")));
            }
        }
        Ok(Done::with(json!({ "attempt": context.attempt })))
    }
}

fn with_steps() -> Registry {
    registry().with::<Steps>()
}

/// Asserts that ids increase, progress increases within a run, and the task is pending between runs.
fn assert_valid_sequence(events: &[Event]) {
    let versions: Vec<Version> = events.iter().map(|event| event.id.parse().unwrap()).collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    for (one, next) in events.iter().zip(&events[1..]) {
        match (one.data["state"].as_str().unwrap(), next.data["state"].as_str().unwrap()) {
            ("PROGRESS", "PROGRESS") => {
                let run = |event: &Event| event.id.split('-').next().unwrap().to_owned();
                assert_eq!(run(one), run(next), "the task is pending between runs");
                assert!(one.data["current"].as_i64() <= next.data["current"].as_i64(), "{one:?}, {next:?}");
            }
            ("PENDING" | "PROGRESS", _) => {}
            _ => panic!("no event follows the end: {events:#?}"),
        }
    }
}

fn states(events: &[Event]) -> Vec<&str> {
    let mut states: Vec<&str> = events.iter().map(|event| event.data["state"].as_str().unwrap()).collect();
    states.dedup();
    states
}

#[testkit::both_databases(together)]
async fn stream_follows_a_job_across_a_retry(t: TestApp) {
    let asha = t.driver("Asha").await;
    let worker = t.work_with(with_steps());
    let job = NewJob::of(&Steps { pause_millis: 5, fails: 1 }).unwrap().owner(asha.id);
    let id = insert(&t, &job).await.id;
    let mut open = t.follow(id, &asha, None).await;
    let (events, ()) = tokio::join!(open.rest(), make_retry_due(&t, id, 1));
    assert_valid_sequence(&events);
    assert_eq!(states(&events), ["PENDING", "PROGRESS", "PENDING", "PROGRESS", "SUCCESS"], "{events:#?}");
    assert_eq!(events.last().unwrap().data["result"]["attempt"], 2);
    let partly =
        events.iter().filter(|event| event.data["current"].as_i64().is_some_and(|now| now > 0)).count();
    assert!(partly >= 6, "progress is reported while the job runs: {events:#?}");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn final_state_arrives_during_a_redis_outage(t: TestApp, mut redis: Redis) {
    let asha = t.driver("Asha").await;
    let worker = t.work_with(with_steps());
    let id = enqueue_for(&t, asha.id, &Steps { pause_millis: 40, fails: 0 }).await;
    let mut open = t.follow(id, &asha, None).await;
    let mut events = vec![open.next().await.unwrap()];
    while events.last().unwrap().data["current"].as_i64() < Some(10) {
        events.push(open.next().await.unwrap());
    }
    redis.kill().await.unwrap();
    let before = events.len();
    reaches(&t, id, "succeeded").await;
    let ended = Instant::now();
    events.extend(open.rest().await);
    eprintln!("the end was reported {:?} after it was written", ended.elapsed());
    assert!(ended.elapsed() < Duration::from_secs(4), "{:?}", ended.elapsed());
    assert_valid_sequence(&events);
    assert_eq!(events.last().unwrap().data["state"], "SUCCESS");
    assert!(events.len() > before + 1, "without Redis, progress is read from the ledger: {events:#?}");
    // A new follower gets the end, too.
    let again = t.follow(id, &asha, None).await.rest().await;
    assert_eq!((again.len(), &again[0].data), (1, &events.last().unwrap().data));
    redis.restart().await.unwrap();
    worker.stop().await;
}

/// Alternates between two API processes, with connections that break at random.
#[testkit::both_databases(together)]
async fn reconnecting_followers_never_miss_the_end(t: TestApp) {
    let asha = t.driver("Asha").await;
    let other = t.second_process(&[]).await;
    let worker = t.work_with(with_steps());
    let mut chance = ChaCha8Rng::seed_from_u64(10);
    for _ in 0..5 {
        let id = enqueue_for(&t, asha.id, &Steps { pause_millis: 10, fails: 0 }).await;
        let (mut events, mut turns): (Vec<Event>, u32) = (Vec::new(), 0);
        while !events.last().is_some_and(|event| event.data["state"] == "SUCCESS") {
            let process = if turns.is_multiple_of(2) { &t } else { &other };
            turns += 1;
            let seen = events.last().map(|event| event.id.clone());
            let mut open = process.follow(id, &asha, seen.as_deref()).await;
            let limit = Duration::from_millis(u64::from(chance.next_u32() % 150));
            let _ = tokio::time::timeout(limit, async {
                while let Some(event) = open.next().await {
                    events.push(event);
                }
            })
            .await;
        }
        assert_valid_sequence(&events);
        assert!(turns > 3, "only {turns} connections were used");
    }
    worker.stop().await;
}

/// Cancels jobs at about the moment at which they end.
#[testkit::both_databases(together)]
async fn racing_cancel_and_completion_has_one_winner(t: TestApp) {
    const RACES: usize = 120;
    let asha = t.driver("Asha").await;
    let worker = t.work_with(with_steps());
    let mut chance = ChaCha8Rng::seed_from_u64(11);
    let mut ends: Vec<(Uuid, String, bool)> = Vec::new();
    for _ in 0..RACES {
        let probe = Probe::<MAIL>::new(&[Act::SleepMillis(10)]);
        let id = enqueue_for(&t, asha.id, &probe).await;
        let mut open = t.follow(id, &asha, None).await;
        tokio::time::sleep(Duration::from_micros(u64::from(chance.next_u32() % 30_000))).await;
        let was_asked = jobs::cancel(&t.app, id).await.unwrap();
        let events = open.rest().await;
        assert_valid_sequence(&events);
        let end = events.last().unwrap().data["state"].as_str().unwrap().to_owned();
        assert!(probe.runs().len() <= 1);
        ends.push((id, end, was_asked));
    }
    for (id, end, was_asked) in &ends {
        let row = row(&t, *id).await;
        let expected = if row.state == JobState::Succeeded { "SUCCESS" } else { "CANCELLED" };
        assert_eq!(end, expected, "{row:#?}");
        assert_eq!(row.result.is_some(), end == "SUCCESS", "{row:#?}");
        assert!(*was_asked || end == "SUCCESS", "a job that was cancelled too late succeeds: {row:#?}");
        assert!(!jobs::cancel(&t.app, *id).await.unwrap() || end == "CANCELLED");
    }
    let kinds: BTreeSet<_> = ends.iter().map(|(_, end, _)| end.as_str()).collect();
    assert_eq!(kinds.len(), 2, "both outcomes occur");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'running')").await, 0);
    worker.stop().await;
}

static DROPPED: Mutex<Vec<(Uuid, Instant)>> = Mutex::new(Vec::new());

/// Holds a resource until the job is stopped.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Holds {}

struct HalfMade(Uuid);

impl Drop for HalfMade {
    fn drop(&mut self) {
        DROPPED.lock().unwrap().push((self.0, Instant::now()));
    }
}

impl Job for Holds {
    const NAME: &'static str = "holds";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> Result<Done> {
        let _half_made = HalfMade(context.id);
        context.progress.set(1, 2);
        std::future::pending().await
    }
}

#[testkit::both_databases(together)]
async fn cancelled_job_releases_resources_promptly(t: TestApp) {
    let asha = t.driver("Asha").await;
    let worker = t.work_with(registry().with::<Holds>());
    let mut took = Vec::new();
    for _ in 0..20 {
        let id = enqueue_for(&t, asha.id, &Holds {}).await;
        let mut open = t.follow(id, &asha, None).await;
        while open.next().await.unwrap().data["current"] != 1 {}
        let asked = Instant::now();
        assert!(jobs::cancel(&t.app, id).await.unwrap());
        assert_eq!(states(&open.rest().await).last(), Some(&"CANCELLED"));
        let dropped = DROPPED.lock().unwrap().iter().find(|(held, _)| *held == id).map(|(_, at)| *at);
        took.push(dropped.expect("the resource is released before the end is reported") - asked);
    }
    took.sort();
    eprintln!("stopped after {:?} (median), {:?} (maximum)", took[took.len() / 2], took.last());
    assert!(took[took.len() / 2] < Duration::from_millis(250), "{took:?}");
    worker.stop().await;
}
