//! The rules of the ledger, with a manual clock and no worker.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::{Value, json};
use shared::{
    Error,
    jobs::{
        Done, JobState, NewJob, Outcome, Queue,
        ledger::{self, Claim, row::Model},
        policy::{LEASE, MAX_CRASHES},
    },
};
use testkit::TestApp;
use uuid::Uuid;

use crate::support::{Act, MAIL, Probe, execute, insert, registry, row};

/// The table of jobs, with a clock that the test moves.
struct Ledger<'a> {
    t: &'a TestApp,
    now: DateTime<Utc>,
}

impl<'a> Ledger<'a> {
    fn of(t: &'a TestApp) -> Self {
        Self { t, now: t.app.clock.now() }
    }

    fn job() -> NewJob {
        NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()
    }

    async fn add(&self, job: &NewJob) -> Uuid {
        ledger::insert(self.t.app.db.write(), self.now, job).await.unwrap().id
    }

    fn wait(&mut self, millis: i64) {
        self.now += TimeDelta::milliseconds(millis);
    }

    async fn claim(&self, id: Uuid) -> Option<Claim> {
        ledger::claim(&self.t.app.db, self.now, LEASE, "tester", id).await.unwrap()
    }

    async fn renew(&self, claim: &Claim) -> Option<bool> {
        ledger::renew(&self.t.app.db, self.now, LEASE, claim, (3, 9)).await.unwrap()
    }

    async fn close(&self, claim: &Claim, how: Outcome) -> bool {
        ledger::close(self.t.app.db.write(), self.now, claim, &how).await.unwrap()
    }

    async fn cancel(&self, id: Uuid) -> JobState {
        ledger::cancel(self.t.app.db.write(), self.now, id).await.unwrap();
        ledger::find(&self.t.app.db, id).await.unwrap().unwrap().state
    }

    async fn due(&self) -> Vec<Uuid> {
        let due = ledger::due(&self.t.app.db, self.now, Duration::ZERO, Queue::Mail, 100).await.unwrap();
        due.iter().map(|due| due.id).collect()
    }

    async fn row(&self, id: Uuid) -> Model {
        row(self.t, id).await
    }
}

fn succeeded(result: Value) -> Outcome {
    Outcome::Succeeded(Done::with(result))
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed(error.to_owned())
}

fn retry(run_at: DateTime<Utc>, error: &str) -> Outcome {
    Outcome::Retry { run_at, error: error.to_owned() }
}

const LEASE_MILLIS: i64 = LEASE.as_millis() as i64;

#[testkit::both_databases]
async fn job_is_claimed_once_and_only_when_due(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job().run_at(l.now + TimeDelta::seconds(60))).await;
    assert!(l.due().await.is_empty());
    assert!(l.claim(id).await.is_none(), "too early");
    l.wait(60_000);
    assert_eq!(l.due().await, [id]);
    let claims = futures::future::join_all((0..20).map(|_| l.claim(id))).await;
    let won: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "one of twenty concurrent claims succeeds");
    assert_eq!(won[0].attempt, 1);
    assert!(l.due().await.is_empty());
    let row = l.row(id).await;
    assert_eq!(
        (row.state, row.started_at, row.worker.as_deref()),
        (JobState::Running, Some(l.now), Some("tester"))
    );
}

#[testkit::both_databases]
async fn stale_lease_token_changes_nothing(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let stale = l.claim(id).await.unwrap();
    l.wait(LEASE_MILLIS + 1);
    let fresh = l.claim(id).await.expect("the lease has run out");
    assert_eq!(fresh.attempt, 2);

    let (before, later) = (l.row(id).await, l.now + TimeDelta::seconds(9));
    let refused = async |l: &Ledger<'_>| {
        assert_eq!(l.renew(&stale).await, None);
        for how in [
            succeeded(json!({})),
            failed("stale"),
            Outcome::Cancelled,
            retry(later, "stale"),
            Outcome::Released,
            Outcome::LeaseLost,
        ] {
            assert!(!l.close(&stale, how).await);
        }
    };
    refused(&l).await;
    assert_eq!(l.row(id).await, before, "while another worker runs it");

    assert!(l.close(&fresh, succeeded(json!(7))).await);
    let before = l.row(id).await;
    assert_eq!((before.state, before.result.as_deref()), (JobState::Succeeded, Some("7")));
    refused(&l).await;
    assert!(!l.close(&fresh, failed("twice")).await, "an end is final, even for the worker that recorded it");
    assert!(l.claim(id).await.is_none());
    assert_eq!(l.row(id).await, before, "after its end");
}

#[testkit::both_databases]
async fn renewed_lease_keeps_other_workers_away(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    l.wait(LEASE_MILLIS);
    assert!(l.claim(id).await.is_none(), "a lease is valid up to and including its last instant");
    assert_eq!(l.renew(&claim).await, Some(false));
    let row = l.row(id).await;
    assert_eq!((row.progress_current, row.progress_total), (3, 9));
    l.wait(LEASE_MILLIS);
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.due().await, [id], "the relay finds the abandoned job");
    assert!(l.claim(id).await.is_some());
}

#[testkit::both_databases]
async fn retry_waits_and_keeps_the_error(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    assert!(l.close(&claim, retry(l.now + TimeDelta::seconds(30), "not today")).await);
    let row = l.row(id).await;
    assert_eq!((row.state, row.attempt, row.error.as_deref()), (JobState::Queued, 1, Some("not today")));
    assert_eq!((row.lease_token, row.lease_until, row.finished_at), (None, None, None));
    l.wait(29_999);
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.claim(id).await.unwrap().attempt, 2);
}

#[testkit::both_databases]
async fn released_job_regains_its_attempt(t: TestApp) {
    let l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    for _ in 0..5 {
        let claim = l.claim(id).await.unwrap();
        assert_eq!(claim.attempt, 1);
        assert!(l.close(&claim, Outcome::Released).await);
        assert_eq!(l.row(id).await.attempt, 0);
    }
}

#[testkit::both_databases]
async fn unique_key_returns_the_live_job_until_it_ends(t: TestApp) {
    let l = Ledger::of(&t);
    let keyed = || Ledger::job().unique("17");
    let first = l.add(&keyed()).await;
    assert_eq!(l.add(&keyed()).await, first, "while the job is queued");
    let claim = l.claim(first).await.unwrap();
    assert_eq!(l.add(&keyed()).await, first, "while the job runs");
    assert_ne!(l.add(&Ledger::job().unique("18")).await, first);
    assert_ne!(l.add(&Ledger::job()).await, first);
    assert!(l.close(&claim, succeeded(json!({}))).await);
    let second = l.add(&keyed()).await;
    assert_ne!(second, first);
    assert_eq!(l.row(second).await.state, JobState::Queued);
}

/// The live job may end between the failed insert and the query for its id; then a new job must be written.
#[testkit::both_databases]
async fn enqueued_id_exists_even_if_the_live_job_just_ended(t: TestApp) {
    let l = Ledger::of(&t);
    let ending = async {
        for _ in 0..150 {
            let id = l.add(&Ledger::job().unique("race")).await;
            if let Some(claim) = l.claim(id).await {
                l.close(&claim, succeeded(json!({}))).await;
            }
        }
    };
    let asking = async {
        for _ in 0..300 {
            let id = l.add(&Ledger::job().unique("race")).await;
            assert!(ledger::find(&t.app.db, id).await.unwrap().is_some(), "the returned job exists");
        }
    };
    tokio::join!(ending, asking);
}

#[testkit::both_databases]
async fn three_crashes_make_a_job_dead(t: TestApp) {
    let mut l = Ledger::of(&t);
    let (id, other) = (l.add(&Ledger::job()).await, l.add(&Ledger::job()).await);
    for attempt in 1..=MAX_CRASHES {
        assert!(ledger::fail_poison(&t.app.db, l.now).await.unwrap().is_empty());
        assert_eq!(l.claim(id).await.unwrap().attempt, attempt);
        l.wait(LEASE_MILLIS + 1);
    }
    assert!(l.claim(id).await.is_none(), "no fourth start");
    assert_eq!(ledger::fail_poison(&t.app.db, l.now).await.unwrap(), [id]);
    let row = l.row(id).await;
    assert_eq!((row.state, row.attempt, row.finished_at), (JobState::Failed, 3, Some(l.now)));
    assert!(row.error.unwrap().contains("vanished"));
    assert_eq!(l.row(other).await.state, JobState::Queued);
}

#[testkit::both_databases]
async fn only_consecutive_crashes_count(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    for _ in 0..3 {
        l.claim(id).await.unwrap();
        l.wait(LEASE_MILLIS + 1);
        let claim = l.claim(id).await.expect("two starts do not make a job poison");
        assert!(l.close(&claim, retry(l.now, "answered")).await, "a proper end resets the crash counter");
    }
    assert!(ledger::fail_poison(&t.app.db, l.now + TimeDelta::hours(1)).await.unwrap().is_empty());
}

#[testkit::both_databases]
async fn queued_job_is_cancelled_immediately(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    assert_eq!(l.cancel(id).await, JobState::Cancelled);
    let row = l.row(id).await;
    assert_eq!((row.attempt, row.finished_at), (0, Some(l.now)));
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.cancel(id).await, JobState::Cancelled);
    assert_eq!(l.row(id).await, row, "cancelling again changes nothing");
}

#[testkit::both_databases]
async fn running_job_is_asked_to_stop(t: TestApp) {
    let l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    assert_eq!(l.cancel(id).await, JobState::Running);
    assert_eq!(l.renew(&claim).await, Some(true), "the renewal reports the cancellation");
    assert!(l.close(&claim, Outcome::Cancelled).await);
    assert_eq!(l.cancel(id).await, JobState::Cancelled);
}

#[testkit::both_databases]
async fn racing_success_and_cancel_has_one_winner(t: TestApp) {
    let l = Ledger::of(&t);
    for _ in 0..40 {
        let id = l.add(&Ledger::job()).await;
        let claim = l.claim(id).await.unwrap();
        let (written, released, _) = tokio::join!(
            l.close(&claim, succeeded(json!(1))),
            l.close(&claim, Outcome::Released),
            l.cancel(id)
        );
        assert!(written != released, "exactly one of two closes succeeds");
        let state = l.row(id).await.state;
        let ended =
            if written { vec![JobState::Succeeded] } else { vec![JobState::Queued, JobState::Cancelled] };
        assert!(ended.contains(&state), "{state}");
    }
}

#[testkit::both_databases]
async fn paused_queue_hands_out_nothing(t: TestApp) {
    let mut l = Ledger::of(&t);
    let (waiting, running) = (l.add(&Ledger::job()).await, l.add(&Ledger::job()).await);
    let claim = l.claim(running).await.unwrap();
    let pause = "INSERT INTO paused_queues (queue, paused_at) VALUES ('mail', $1)";
    execute(&t, pause, [shared::platform::db::at(l.now)]).await;
    assert!(l.claim(waiting).await.is_none());
    assert_eq!(l.renew(&claim).await, Some(false), "a running job may finish");
    l.wait(LEASE_MILLIS + 1);
    assert!(l.claim(running).await.is_none());
    execute(&t, "DELETE FROM paused_queues", []).await;
    assert!(l.claim(waiting).await.is_some());
    assert!(l.claim(running).await.is_some());
}

/// Random runs: each ends in one of the possible ways, or is abandoned.
#[testkit::both_databases]
async fn number_of_starts_is_bounded(t: TestApp) {
    for seed in 0..12 {
        let (mut l, mut rng) = (Ledger::of(&t), ChaCha8Rng::seed_from_u64(seed));
        let id = l.add(&Ledger::job()).await;
        let mut starts = 0;
        loop {
            ledger::fail_poison(&t.app.db, l.now).await.unwrap();
            let Some(claim) = l.claim(id).await else { break };
            starts += 1;
            assert!(starts < 20, "seed {seed} never ends");
            if rng.next_u32() % 2 == 0 {
                l.wait(LEASE_MILLIS + 1);
                continue;
            }
            let error = Error::Unavailable(anyhow::anyhow!("again"));
            let outcome = Outcome::of(Err(error), (claim.attempt, claim.max_attempts), l.now, 1.0);
            if let Outcome::Retry { run_at, .. } = outcome {
                l.now = run_at;
            }
            assert!(l.close(&claim, outcome).await);
        }
        assert_eq!(l.row(id).await.state, JobState::Failed, "seed {seed}");
        assert!(starts < 3 + MAX_CRASHES, "seed {seed}: {starts} starts of 3 attempts");
    }
}

#[testkit::both_databases]
async fn rollback_leaves_no_job(t: TestApp) {
    let worker = t.work_with(registry());
    let (undone, probe) = (Ledger::job().unique("undone"), Probe::<MAIL>::new(&[Act::Succeed]));
    let tx = t.app.db.begin().await.unwrap();
    let written = ledger::insert(&tx, t.app.clock.now(), &undone).await.unwrap();
    let other = NewJob::of(&probe).unwrap();
    ledger::insert(&tx, t.app.clock.now(), &other).await.unwrap();
    tx.rollback().await.unwrap();
    // Even a message that was sent too early cannot start a job of a rolled-back transaction.
    shared::jobs::announce(&t.app.redis, &[written, ledger::Enqueued { id: other.id, ..written }]).await;
    let after = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap().unique("undone")).await;
    crate::support::reaches(&t, after.id, "succeeded").await;
    assert!(ledger::find(&t.app.db, undone.id).await.unwrap().is_none());
    assert!(probe.runs().is_empty());
    worker.stop().await;
}

#[testkit::both_databases]
async fn job_cancelled_while_failing_is_not_retried(t: TestApp) {
    let job = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    let now = t.app.clock.now();
    let claim = ledger::claim(&t.app.db, now, LEASE, "w", job.id).await.unwrap().unwrap();
    ledger::cancel(t.app.db.write(), now, job.id).await.unwrap();
    let again = retry(now + TimeDelta::hours(1), "a passing reason");
    assert!(ledger::close(t.app.db.write(), now, &claim, &again).await.unwrap());
    let row = row(&t, job.id).await;
    assert_eq!((row.state, row.finished_at), (JobState::Cancelled, Some(now)));
}
