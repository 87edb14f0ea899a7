//! The rules of the ledger, with the time in the test's hand and no worker about.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use shared::{
    jobs::{
        NewJob, Queue, backlog,
        ledger::{self, Claim, Close},
        policy::{self, Ending, LEASE, MAX_CRASHES, Verdict},
    },
    platform::entities::job,
};
use testkit::TestApp;
use uuid::Uuid;

use crate::support::{Act, MAIL, Probe, execute, insert, registry, row};

/// A table of jobs and a clock that the test moves.
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

    async fn close(&self, claim: &Claim, how: Close<'_>) -> bool {
        ledger::close(self.t.app.db.write(), self.now, claim, how).await.unwrap()
    }

    async fn cancel(&self, id: Uuid) -> String {
        ledger::cancel(&self.t.app.db, self.now, id).await.unwrap().unwrap().state
    }

    async fn due(&self) -> Vec<Uuid> {
        let due = backlog::due(&self.t.app.db, self.now, Duration::ZERO, Queue::Mail, 100).await.unwrap();
        due.iter().map(|due| due.id).collect()
    }

    async fn row(&self, id: Uuid) -> job::Model {
        row(self.t, id).await
    }
}

const LEASE_MILLIS: i64 = LEASE.as_millis() as i64;

#[testkit::both_databases]
async fn a_job_is_claimed_once_and_not_before_it_is_due(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job().run_at(l.now + TimeDelta::seconds(60))).await;
    assert!(l.due().await.is_empty());
    assert!(l.claim(id).await.is_none(), "too early");
    l.wait(60_000);
    assert_eq!(l.due().await, [id]);
    let claims = futures::future::join_all((0..20).map(|_| l.claim(id))).await;
    let won: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "of twenty at once one wins");
    assert_eq!(won[0].attempt, 1);
    assert!(l.due().await.is_empty());
    let row = l.row(id).await;
    assert_eq!(
        (row.state.as_str(), row.started_at, row.worker.as_deref()),
        ("running", Some(l.now), Some("tester"))
    );
}

#[testkit::both_databases]
async fn a_stale_token_changes_nothing(t: TestApp) {
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
            Close::Succeeded("{}"),
            Close::Failed("stale"),
            Close::Cancelled,
            Close::Retry(later, "stale"),
            Close::Release,
        ] {
            assert!(!l.close(&stale, how).await);
        }
    };
    refused(&l).await;
    assert_eq!(l.row(id).await, before, "while somebody else runs it");

    assert!(l.close(&fresh, Close::Succeeded("7")).await);
    let before = l.row(id).await;
    assert_eq!((before.state.as_str(), before.result.as_deref()), ("succeeded", Some("7")));
    refused(&l).await;
    assert!(!l.close(&fresh, Close::Failed("twice")).await, "an end is final for its own worker too");
    assert!(l.claim(id).await.is_none());
    assert_eq!(l.row(id).await, before, "after its end");
}

#[testkit::both_databases]
async fn a_lease_that_is_renewed_keeps_others_away(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    l.wait(LEASE_MILLIS);
    assert!(l.claim(id).await.is_none(), "at its last instant it still holds");
    assert_eq!(l.renew(&claim).await, Some(false));
    let row = l.row(id).await;
    assert_eq!((row.progress_current, row.progress_total), (3, 9));
    l.wait(LEASE_MILLIS);
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.due().await, [id], "the relay finds it");
    assert!(l.claim(id).await.is_some());
}

#[testkit::both_databases]
async fn a_retry_waits_for_its_time_and_keeps_the_reason(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    assert!(l.close(&claim, Close::Retry(l.now + TimeDelta::seconds(30), "not today")).await);
    let row = l.row(id).await;
    assert_eq!((row.state.as_str(), row.attempt, row.error.as_deref()), ("queued", 1, Some("not today")));
    assert_eq!((row.lease_token, row.lease_until, row.finished_at), (None, None, None));
    l.wait(29_999);
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.claim(id).await.unwrap().attempt, 2);
}

#[testkit::both_databases]
async fn a_released_job_has_its_attempt_back_and_is_free_at_once(t: TestApp) {
    let l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    for _ in 0..5 {
        let claim = l.claim(id).await.unwrap();
        assert_eq!(claim.attempt, 1);
        assert!(l.close(&claim, Close::Release).await);
        assert_eq!(l.row(id).await.attempt, 0);
    }
}

#[testkit::both_databases]
async fn a_unique_key_leads_to_the_living_job_and_is_free_after_its_end(t: TestApp) {
    let l = Ledger::of(&t);
    let keyed = || Ledger::job().unique("17");
    let first = l.add(&keyed()).await;
    assert_eq!(l.add(&keyed()).await, first, "while it waits");
    let claim = l.claim(first).await.unwrap();
    assert_eq!(l.add(&keyed()).await, first, "while it runs");
    assert_ne!(l.add(&Ledger::job().unique("18")).await, first);
    assert_ne!(l.add(&Ledger::job()).await, first);
    assert!(l.close(&claim, Close::Succeeded("{}")).await);
    let second = l.add(&keyed()).await;
    assert_ne!(second, first);
    assert_eq!(l.row(second).await.state, "queued");
}

/// Between "there is one already" and "here is its id" that one may end; then the new one must be written.
#[testkit::both_databases]
async fn an_id_that_is_handed_out_is_in_the_ledger_even_when_the_living_job_ends_just_then(t: TestApp) {
    let l = Ledger::of(&t);
    let ending = async {
        for _ in 0..150 {
            let id = l.add(&Ledger::job().unique("race")).await;
            if let Some(claim) = l.claim(id).await {
                l.close(&claim, Close::Succeeded("{}")).await;
            }
        }
    };
    let asking = async {
        for _ in 0..300 {
            let id = l.add(&Ledger::job().unique("race")).await;
            assert!(ledger::find(&t.app.db, id).await.unwrap().is_some(), "a job that nobody will ever run");
        }
    };
    tokio::join!(ending, asking);
}

#[testkit::both_databases]
async fn a_job_whose_workers_vanish_three_times_is_buried(t: TestApp) {
    let mut l = Ledger::of(&t);
    let (id, other) = (l.add(&Ledger::job()).await, l.add(&Ledger::job()).await);
    for attempt in 1..=MAX_CRASHES {
        assert!(backlog::bury_poison(&t.app.db, l.now).await.unwrap().is_empty());
        assert_eq!(l.claim(id).await.unwrap().attempt, attempt);
        l.wait(LEASE_MILLIS + 1);
    }
    assert!(l.claim(id).await.is_none(), "no fourth start");
    assert_eq!(backlog::bury_poison(&t.app.db, l.now).await.unwrap(), [id]);
    let row = l.row(id).await;
    assert_eq!((row.state.as_str(), row.attempt, row.finished_at), ("failed", 3, Some(l.now)));
    assert!(row.error.unwrap().contains("vanished"));
    assert_eq!(l.row(other).await.state, "queued");
}

#[testkit::both_databases]
async fn only_crashes_in_a_row_make_a_poison_job(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    for _ in 0..3 {
        l.claim(id).await.unwrap();
        l.wait(LEASE_MILLIS + 1);
        let claim = l.claim(id).await.expect("two starts are not three");
        assert!(l.close(&claim, Close::Retry(l.now, "answered")).await, "an answer ends the row");
    }
    assert!(backlog::bury_poison(&t.app.db, l.now + TimeDelta::hours(1)).await.unwrap().is_empty());
}

#[testkit::both_databases]
async fn a_waiting_job_is_cancelled_at_once(t: TestApp) {
    let mut l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    assert_eq!(l.cancel(id).await, "cancelled");
    let row = l.row(id).await;
    assert_eq!((row.attempt, row.finished_at), (0, Some(l.now)));
    assert!(l.claim(id).await.is_none());
    l.wait(1);
    assert_eq!(l.cancel(id).await, "cancelled");
    assert_eq!(l.row(id).await, row, "the second time changes nothing");
}

#[testkit::both_databases]
async fn a_running_job_is_asked_to_stop(t: TestApp) {
    let l = Ledger::of(&t);
    let id = l.add(&Ledger::job()).await;
    let claim = l.claim(id).await.unwrap();
    assert_eq!(l.cancel(id).await, "running");
    assert_eq!(l.renew(&claim).await, Some(true), "its worker hears of it");
    assert!(l.close(&claim, Close::Cancelled).await);
    assert_eq!(l.cancel(id).await, "cancelled");
}

#[testkit::both_databases]
async fn one_end_wins_when_success_and_cancel_race(t: TestApp) {
    let l = Ledger::of(&t);
    for _ in 0..40 {
        let id = l.add(&Ledger::job()).await;
        let claim = l.claim(id).await.unwrap();
        let (written, released, _) = tokio::join!(
            l.close(&claim, Close::Succeeded("1")),
            l.close(&claim, Close::Release),
            l.cancel(id)
        );
        assert!(written != released, "one of two closes is written");
        let state = l.row(id).await.state;
        let ended = if written { vec!["succeeded"] } else { vec!["queued", "cancelled"] };
        assert!(ended.contains(&state.as_str()), "{state}");
    }
}

#[testkit::both_databases]
async fn nothing_is_taken_from_a_paused_queue(t: TestApp) {
    let mut l = Ledger::of(&t);
    let (waiting, running) = (l.add(&Ledger::job()).await, l.add(&Ledger::job()).await);
    let claim = l.claim(running).await.unwrap();
    let pause = "INSERT INTO paused_queues (queue, paused_at) VALUES ('mail', $1)";
    execute(&t, pause, [shared::platform::db::at(l.now)]).await;
    assert!(l.claim(waiting).await.is_none());
    assert_eq!(l.renew(&claim).await, Some(false), "what runs already may end");
    l.wait(LEASE_MILLIS + 1);
    assert!(l.claim(running).await.is_none());
    execute(&t, "DELETE FROM paused_queues", []).await;
    assert!(l.claim(waiting).await.is_some());
    assert!(l.claim(running).await.is_some());
}

/// Runs that end in every way, and those that never do, in an order that a seed decides.
#[testkit::both_databases]
async fn starts_are_bounded_however_runs_end(t: TestApp) {
    for seed in 0..12 {
        let (mut l, mut rng) = (Ledger::of(&t), ChaCha8Rng::seed_from_u64(seed));
        let id = l.add(&Ledger::job()).await;
        let mut starts = 0;
        loop {
            backlog::bury_poison(&t.app.db, l.now).await.unwrap();
            let Some(claim) = l.claim(id).await else { break };
            starts += 1;
            assert!(starts < 20, "seed {seed} goes on for ever");
            if rng.next_u32() % 2 == 0 {
                l.wait(LEASE_MILLIS + 1);
                continue;
            }
            match policy::verdict(Ending::Transient, claim.attempt, claim.max_attempts, 1.0) {
                Verdict::Retry(pause) => {
                    l.wait(i64::try_from(pause.as_millis()).unwrap());
                    assert!(l.close(&claim, Close::Retry(l.now, "again")).await);
                }
                Verdict::Fail => assert!(l.close(&claim, Close::Failed("enough")).await),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(l.row(id).await.state, "failed", "seed {seed}");
        assert!(starts < 3 + MAX_CRASHES, "seed {seed}: {starts} starts of 3 attempts");
    }
}

#[testkit::both_databases]
async fn a_rolled_back_change_leaves_no_job(t: TestApp) {
    let worker = t.work_with(registry());
    let (undone, probe) = (Ledger::job().unique("undone"), Probe::<MAIL>::new(&[Act::Succeed]));
    let tx = t.app.db.begin().await.unwrap();
    let written = ledger::insert(&tx, t.app.clock.now(), &undone).await.unwrap();
    let other = NewJob::of(&probe).unwrap();
    ledger::insert(&tx, t.app.clock.now(), &other).await.unwrap();
    tx.rollback().await.unwrap();
    // Even a message that was sent too early finds nothing to run.
    shared::jobs::queue::announce(&t.app.redis, &[written, ledger::Enqueued { id: other.id, ..written }])
        .await;
    let after = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap().unique("undone")).await;
    crate::support::reaches(&t, after.id, "succeeded").await;
    assert!(ledger::find(&t.app.db, undone.id).await.unwrap().is_none());
    assert!(probe.runs().is_empty());
    worker.stop().await;
}

#[testkit::both_databases]
async fn a_job_that_is_given_up_while_it_fails_is_not_tried_again(t: TestApp) {
    let job = insert(&t, &NewJob::of(&Probe::<MAIL>::new(&[Act::Succeed])).unwrap()).await;
    let now = t.app.clock.now();
    let claim = ledger::claim(&t.app.db, now, LEASE, "w", job.id).await.unwrap().unwrap();
    ledger::cancel(&t.app.db, now, job.id).await.unwrap();
    let again = Close::Retry(now + TimeDelta::hours(1), "a passing reason");
    assert!(ledger::close(t.app.db.write(), now, &claim, again).await.unwrap());
    let row = row(&t, job.id).await;
    assert_eq!((row.state.as_str(), row.finished_at), ("cancelled", Some(now)));
}
