//! Differential test of the state machine and the SQL statements: random operations go to both, and all rows are
//! compared after each.

use std::{collections::BTreeMap, time::Duration};

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    Error,
    jobs::{
        Context, Done, Job, JobState, NewJob, Outcome, Queue,
        ledger::{self, Claim, DueJob, row},
        policy::LEASE,
    },
    platform::db::{at, sql},
};
use testkit::TestApp;
use uuid::Uuid;

use crate::machine::{Id, Lease, Ledger, Row};

const SEQUENCES: u64 = 300;
const STEPS: usize = 40;

/// A job kind that never runs.
#[derive(Serialize, Deserialize)]
struct Idle<const LANE: u8> {}

impl<const LANE: u8> Job for Idle<LANE> {
    const NAME: &'static str = ["a", "b", "c"][LANE as usize];
    const QUEUE: Queue = Queue::ALL[LANE as usize];
    const MAX_ATTEMPTS: i64 = 1 + LANE as i64;

    async fn run(&self, _: &Context) -> shared::Result<Done> {
        Ok(Done::default())
    }
}

/// The real ledger, the state machine, and the time.
struct Pair<'a> {
    t: &'a TestApp,
    rng: ChaCha8Rng,
    now: DateTime<Utc>,
    machine: Ledger,
    /// Every claim ever granted; most are stale.
    claims: Vec<Claim>,
    ids: Vec<Uuid>,
}

#[testkit::both_databases]
async fn simulated_ledger_and_sql_agree_on_every_field(t: TestApp) {
    let seeds = crate::seed_to_replay().map_or(0..SEQUENCES, |seed| seed..seed + 1);
    for seed in seeds {
        let mut pair = Pair::new(&t, seed).await;
        for step in 0..STEPS {
            let what = pair.step().await;
            pair.compare(&format!("SEED={seed}, step {step}: {what}")).await;
        }
    }
}

impl<'a> Pair<'a> {
    async fn new(t: &'a TestApp, seed: u64) -> Self {
        for table in ["jobs", "paused_queues"] {
            t.app.db.write().execute_unprepared(&format!("DELETE FROM {table}")).await.unwrap();
        }
        let (rng, now) = (ChaCha8Rng::seed_from_u64(seed), t.app.clock.now());
        Self { t, rng, now, machine: Ledger::default(), claims: Vec::new(), ids: vec![Uuid::nil()] }
    }

    /// Applies one operation to both; the results must be equal.
    async fn step(&mut self) -> &'static str {
        let millis = if self.rng.random_bool(0.2) { -2_000..9_000 } else { 0..800 };
        self.now += TimeDelta::milliseconds(self.rng.random_range(millis));
        if self.rng.random_bool(0.2) {
            self.move_to_a_boundary();
        }
        match self.rng.random_range(0..100) {
            0..22 => self.insert().await,
            22..50 => self.claim().await,
            50..60 => self.renew().await,
            60..80 => self.close().await,
            80..85 => self.cancel().await,
            85..90 => self.fail_poison().await,
            90..96 => self.due().await,
            _ => self.pause().await,
        }
    }

    /// Moves the time to the exact moment at which a lease expires or a job is due.
    fn move_to_a_boundary(&mut self) {
        let live = self.machine.rows.values().filter(|row| !row.state.is_final());
        let boundaries: Vec<_> = live.map(|row| row.lease.map_or(row.run_at, |lease| lease.until)).collect();
        if let Some(boundary) = boundaries.choose(&mut self.rng) {
            self.now = *boundary;
        }
    }

    async fn insert(&mut self) -> &'static str {
        let mut job = match self.rng.random_range(0..3) {
            0 => NewJob::of(&Idle::<0> {}),
            1 => NewJob::of(&Idle::<1> {}),
            _ => NewJob::of(&Idle::<2> {}),
        }
        .unwrap();
        let mut run_at = self.now;
        if self.rng.random_bool(0.2) {
            run_at += TimeDelta::milliseconds(self.rng.random_range(-3_000..6_000));
            job = job.run_at(run_at);
        }
        let key = self.rng.random_bool(0.6).then(|| self.rng.random_range(0..2).to_string());
        if let Some(key) = &key {
            job = job.unique(key);
        }
        let tx = self.t.app.db.begin().await.unwrap();
        let enqueued = ledger::insert(&tx, self.now, &job).await.unwrap();
        assert_eq!(enqueued.due, run_at <= self.now);
        if self.rng.random_bool(0.2) {
            tx.rollback().await.unwrap();
            return "a rolled back insert";
        }
        tx.commit().await.unwrap();
        let queue = Queue::ALL.iter().position(|queue| *queue == enqueued.queue).unwrap();
        let mut row = Row::new(self.now, ["a", "b", "c"][queue], enqueued.queue, 1 + queue as i64);
        (row.unique_key, row.run_at) = (key, run_at);
        let id = self.machine.insert(job.id.as_u128(), row);
        assert_eq!(enqueued.id.as_u128(), id, "the result of the insert");
        self.ids.push(job.id);
        "insert"
    }

    fn any_id(&mut self) -> Uuid {
        self.ids[self.rng.random_range(0..self.ids.len())]
    }

    async fn claim(&mut self) -> &'static str {
        let id = self.any_id();
        let name = ["one", "two"][self.rng.random_range(0..2)];
        let claim = ledger::claim(&self.t.app.db, self.now, LEASE, name, id).await.unwrap();
        let token = claim.as_ref().map_or(0, |claim| claim.lease_token.as_u128());
        let row = self.machine.claim(self.now, LEASE, name, token, id.as_u128());
        let shown =
            |claim: &Claim| (claim.kind.clone(), claim.attempt, claim.max_attempts, claim.cancel_requested);
        assert_eq!(
            claim.as_ref().map(shown),
            row.map(|row| (row.kind.clone(), row.attempt, row.max_attempts, row.cancel_requested)),
            "the result of claiming {id}"
        );
        self.claims.extend(claim);
        "claim"
    }

    /// Half of the time the latest claim, otherwise any.
    fn any_claim(&mut self) -> Option<Claim> {
        let count = self.claims.len();
        let nth = if self.rng.random_bool(0.5) {
            count.checked_sub(1)?
        } else {
            self.rng.random_range(0..count.max(1))
        };
        self.claims.get(nth).cloned()
    }

    async fn renew(&mut self) -> &'static str {
        let Some(claim) = self.any_claim() else { return "nothing" };
        let progress = (self.rng.random_range(0..9), 9);
        let held = ledger::renew(&self.t.app.db, self.now, LEASE, &claim, progress).await.unwrap();
        let (id, token) = (claim.id.as_u128(), claim.lease_token.as_u128());
        assert_eq!(
            held,
            self.machine.renew(self.now, LEASE, token, id, progress),
            "the result of the renewal"
        );
        "renew"
    }

    async fn close(&mut self) -> &'static str {
        let Some(claim) = self.any_claim() else { return "nothing" };
        let result = match self.rng.random_range(0..6) {
            0 => Ok(Done::with(json!({ "a": 1 }))),
            1 => Err(Error::Unavailable(anyhow!("a reason"))),
            2 => Err(Error::Permanent("a reason".into())),
            _ => Err(Error::RateLimited { retry_after: LEASE }),
        };
        let outcome = match self.rng.random_range(0..6) {
            0 => Outcome::Cancelled,
            1 => Outcome::Released,
            _ => {
                let jitter = self.rng.random_range(0.0..0.5);
                Outcome::of(result, (claim.attempt, claim.max_attempts), self.now, jitter)
            }
        };
        let tx = self.t.app.db.begin().await.unwrap();
        let closed = ledger::close(&tx, self.now, &claim, &outcome).await.unwrap();
        if self.rng.random_bool(0.1) {
            tx.rollback().await.unwrap();
            return "a rolled back close";
        }
        tx.commit().await.unwrap();
        let (id, token) = (claim.id.as_u128(), claim.lease_token.as_u128());
        assert_eq!(
            closed,
            self.machine.close(self.now, token, id, &outcome),
            "the result of closing with {outcome:?}"
        );
        "close"
    }

    async fn cancel(&mut self) -> &'static str {
        let id = self.any_id();
        ledger::cancel(self.t.app.db.write(), self.now, id).await.unwrap();
        let row = ledger::find(&self.t.app.db, id).await.unwrap();
        let state = self.machine.cancel(self.now, id.as_u128());
        assert_eq!(row.map(|row| row.state), state, "the result of the cancellation");
        "cancel"
    }

    async fn fail_poison(&mut self) -> &'static str {
        let mut failed = ledger::fail_poison(&self.t.app.db, self.now).await.unwrap();
        failed.sort();
        let ids: Vec<Id> = failed.iter().map(Uuid::as_u128).collect();
        assert_eq!(ids, self.machine.fail_poison(self.now), "the jobs failed as poison");
        "fail poison"
    }

    async fn due(&mut self) -> &'static str {
        let queue = Queue::ALL[self.rng.random_range(0..3)];
        let head_start = Duration::from_millis(self.rng.random_range(0..1_500));
        let mut due = ledger::due(&self.t.app.db, self.now, head_start, queue, 1_000).await.unwrap();
        let order = |id: Uuid| {
            let row = &self.machine.rows[&id.as_u128()];
            (row.state == JobState::Queued).then_some(row.run_at)
        };
        assert!(due.is_sorted_by_key(|due| order(due.id)), "abandoned jobs first, then the oldest: {due:?}");
        let mut expected = self.machine.due(self.now, head_start, queue, 1_000);
        let by_id = |due: &DueJob| (due.id, due.attempt);
        due.sort_unstable_by_key(by_id);
        expected.sort_unstable_by_key(by_id);
        assert_eq!(due, expected, "the jobs that are due");
        "due"
    }

    async fn pause(&mut self) -> &'static str {
        let (db, name) = (self.t.app.db.write(), Queue::ALL[self.rng.random_range(0..3)].name());
        let text = if self.machine.paused.remove(name) {
            "DELETE FROM paused_queues WHERE queue = $1 AND paused_at <= $2"
        } else {
            self.machine.paused.insert(name);
            "INSERT INTO paused_queues (queue, paused_at) VALUES ($1, $2)"
        };
        let now = self.t.app.clock.now();
        db.execute_raw(sql(db, text, [name.into(), at(now)])).await.unwrap();
        "pause or resume"
    }

    async fn compare(&self, when: &str) {
        let rows = row::Entity::find().all(self.t.app.db.read()).await.unwrap();
        let rows: BTreeMap<Id, Row> =
            rows.into_iter().map(|row| (row.id.as_u128(), as_in_memory(row))).collect();
        assert_eq!(rows, self.machine.rows, "the table (left) and the machine (right) differ after {when}");
    }
}

fn as_in_memory(row: row::Model) -> Row {
    assert_eq!(row.lease_token.is_some(), row.lease_until.is_some());
    Row {
        kind: row.kind,
        queue: Queue::named(&row.queue).unwrap(),
        unique_key: row.unique_key,
        state: row.state,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        crashes: row.crashes,
        run_at: row.run_at,
        worker: row.worker,
        lease: row
            .lease_token
            .zip(row.lease_until)
            .map(|(token, until)| Lease { token: token.as_u128(), until }),
        cancel_requested: row.cancel_requested,
        progress: (row.progress_current, row.progress_total),
        result: row.result,
        error: row.error,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    }
}
