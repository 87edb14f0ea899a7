//! The simulated world: one database, a Redis that loses messages, and processes that crash, freeze and have wrong clocks.

use std::{collections::BTreeMap, ops::AddAssign, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, seq::SliceRandom};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use shared::jobs::{JobState, Queue, policy::POISON};

use crate::{
    actors::{Request, Worker},
    checks::Track,
    machine::{Id, Ledger, Row},
};

/// How often each kind of event happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) jobs: u64,
    pub(crate) rolled_back: u64,
    pub(crate) runs: u64,
    pub(crate) succeeded: u64,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) poisoned: u64,
    pub(crate) retried: u64,
    pub(crate) released: u64,
    pub(crate) killed_workers: u64,
    pub(crate) killed_clients: u64,
    pub(crate) frozen: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) stale_writes_refused: u64,
    pub(crate) replies_lost: u64,
    pub(crate) messages_lost: u64,
    pub(crate) duplicate_keys: u64,
    pub(crate) ticks: u64,
    pub(crate) ticks_refused: u64,
}

impl Counts {
    fn all(&mut self) -> [&mut u64; 19] {
        [
            &mut self.jobs,
            &mut self.rolled_back,
            &mut self.runs,
            &mut self.succeeded,
            &mut self.cancelled,
            &mut self.failed,
            &mut self.poisoned,
            &mut self.retried,
            &mut self.released,
            &mut self.killed_workers,
            &mut self.killed_clients,
            &mut self.frozen,
            &mut self.clock_jumps,
            &mut self.stale_writes_refused,
            &mut self.replies_lost,
            &mut self.messages_lost,
            &mut self.duplicate_keys,
            &mut self.ticks,
            &mut self.ticks_refused,
        ]
    }

    /// Whether each kind of event happened.
    pub(crate) fn everything_happened(mut self) -> bool {
        self.all().iter().all(|count| **count > 0)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, mut other: Self) {
        for (mine, theirs) in self.all().into_iter().zip(other.all()) {
            *mine += *theirs;
        }
    }
}

/// A write that failed from the writer's point of view.
pub(crate) enum Lost {
    /// The writer gets an error. The write may have happened.
    Reply,
    /// The writer dies. The write may have happened.
    Writer,
}

pub(crate) struct World {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now: DateTime<Utc>,
    pub(crate) ledger: Ledger,
    /// The table `cron_ticks`.
    pub(crate) ticks: BTreeMap<(u8, i64), Id>,
    /// The messages of each queue.
    pub(crate) redis: [Vec<Id>; 3],
    pub(crate) redis_is_up: bool,
    pub(crate) workers: Vec<Worker>,
    pub(crate) requests: Vec<Request>,
    pub(crate) tracks: BTreeMap<Id, Track>,
    pub(crate) counts: Counts,
    /// Whether faults happen.
    pub(crate) faults: bool,
    is_verbose: bool,
    last_id: Id,
}

const START: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
const STEPS: usize = 200;
const MAX_JOBS: u64 = 12;
/// Every job ends within this time after the last fault: three expired leases, the longest pauses, redelivered
/// messages.
const RECOVERY: Duration = Duration::from_mins(4);

impl World {
    pub(crate) fn new(seed: u64, is_verbose: bool) -> Self {
        let mut world = Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: START,
            ledger: Ledger::default(),
            ticks: BTreeMap::new(),
            redis: Default::default(),
            redis_is_up: true,
            workers: Vec::new(),
            requests: Vec::new(),
            tracks: BTreeMap::new(),
            counts: Counts::default(),
            faults: true,
            is_verbose,
            last_id: 0,
        };
        for _ in 0..world.rng.random_range(1..=3) {
            world.workers.push(Worker::new(world.last_id));
            world.last_id += 1;
        }
        world
    }

    pub(crate) fn chance(&mut self, of_hundred: u32) -> bool {
        self.rng.random_range(0..100) < of_hundred
    }

    pub(crate) fn new_id(&mut self) -> Id {
        self.last_id += 1;
        self.last_id
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        (self.now - START).to_std().expect("the time only advances")
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.is_verbose {
            eprintln!("{} {}", self.now.format("%H:%M:%S%.3f"), what());
        }
    }

    pub(crate) fn run_with_faults(&mut self) {
        for _ in 0..STEPS {
            let pause = if self.chance(5) { 6_000 } else { 400 };
            self.now += TimeDelta::milliseconds(self.rng.random_range(0..pause));
            match self.rng.random_range(0..100) {
                0..10 if self.counts.jobs + self.counts.rolled_back < MAX_JOBS => self.new_request(),
                10..20 => self.client_step(),
                20..90 => self.worker_step(),
                90..93 => self.cancel_one(),
                _ => self.fault(),
            }
            self.check();
        }
    }

    /// Stops all faults and checks that every committed job ends.
    pub(crate) fn recover(&mut self) {
        self.faults = false;
        self.redis_is_up = true;
        self.ledger.paused.clear();
        self.workers.retain(|worker| worker.is_alive && !worker.is_stopping);
        for worker in &mut self.workers {
            (worker.frozen_until, worker.skew) = (None, TimeDelta::zero());
        }
        if self.workers.is_empty() {
            self.start_worker();
        }
        self.log(|| "the faults stop".into());
        let end = self.now + RECOVERY;
        while self.requests.iter().any(|request| !request.is_over())
            || self.ledger.rows.values().any(|row| !row.state.is_final())
        {
            assert!(self.now < end, "not every job ends: {:#?}", self.live_jobs());
            self.now += TimeDelta::milliseconds(200);
            for index in 0..self.requests.len() {
                self.client_step_of(index);
            }
            for index in 0..self.workers.len() {
                self.worker_turn(index);
            }
            // Poison kills its worker; a supervisor starts another.
            if self.workers.iter().all(|worker| !worker.is_alive) {
                self.start_worker();
            }
            self.check();
        }
        self.check_after_recovery();
        self.count_ends();
    }

    fn live_jobs(&self) -> Vec<(&Id, &Row)> {
        self.ledger.rows.iter().filter(|(_, row)| !row.state.is_final()).collect()
    }

    pub(crate) fn start_worker(&mut self) {
        let id = self.new_id();
        self.log(|| format!("worker {id} starts"));
        self.workers.push(Worker::new(id));
    }

    /// A write to the database by a worker or a client, which may be lost or kill its writer.
    pub(crate) fn write<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Result<T, Lost> {
        let fate = if self.faults { self.rng.random_range(0..100) } else { 99 };
        match fate {
            0..2 => Err(Lost::Reply),
            2..4 => {
                act(self);
                self.counts.replies_lost += 1;
                Err(Lost::Reply)
            }
            4..6 => Err(Lost::Writer),
            6..8 => {
                act(self);
                Err(Lost::Writer)
            }
            _ => Ok(act(self)),
        }
    }

    /// Pushes a message, unless Redis is down.
    pub(crate) fn push(&mut self, queue: Queue, id: Id) {
        if self.redis_is_up {
            self.redis[queue as usize].push(id);
        }
    }

    fn fault(&mut self) {
        let queue = self.rng.random_range(0..3);
        let worker = self.rng.random_range(0..self.workers.len());
        match self.rng.random_range(0..15) {
            0 | 1 => self.kill_worker(worker),
            2 => self.start_worker(),
            3 | 4 => self.freeze(worker),
            5 => {
                self.counts.clock_jumps += 1;
                self.workers[worker].skew = TimeDelta::milliseconds(self.rng.random_range(-9_000..9_000));
            }
            6 | 7 => self.workers[worker].is_stopping = true,
            8 => {
                self.counts.messages_lost += self.redis.iter().map(Vec::len).sum::<usize>() as u64;
                self.redis = Default::default();
            }
            9 if !self.redis[queue].is_empty() => {
                let at = self.rng.random_range(0..self.redis[queue].len());
                self.redis[queue].remove(at);
                self.counts.messages_lost += 1;
            }
            10 if !self.redis[queue].is_empty() => {
                let at = self.rng.random_range(0..self.redis[queue].len());
                let copy = self.redis[queue][at];
                self.redis[queue].push(copy);
            }
            11 => {
                self.redis[queue].shuffle(&mut self.rng);
            }
            12 => self.redis_is_up = !self.redis_is_up,
            _ => {
                let name = Queue::ALL[queue].name();
                if !self.ledger.paused.remove(name) && self.chance(30) {
                    self.ledger.paused.insert(name);
                }
            }
        }
    }

    fn freeze(&mut self, index: usize) {
        let millis = self.rng.random_range(500..20_000);
        let until = self.now + TimeDelta::milliseconds(millis);
        let worker = &mut self.workers[index];
        if worker.is_alive && worker.frozen_until.is_none() {
            worker.frozen_until = Some(until);
            self.counts.frozen += 1;
            self.log(|| format!("worker {index} freezes for {millis} ms"));
        }
    }

    fn cancel_one(&mut self) {
        let count = self.ledger.rows.len();
        if count == 0 {
            return;
        }
        let nth = self.rng.random_range(0..count);
        let (now, id) = (self.now, *self.ledger.rows.keys().nth(nth).expect("a row"));
        let state = self.ledger.cancel(now, id);
        self.log(|| format!("cancel {id}: {state:?}"));
        // The signal may be lost; then the flag is seen at the next renewal.
        if state == Some(JobState::Running) && self.redis_is_up && self.chance(60) {
            self.workers.iter_mut().for_each(|worker| worker.receive_cancel(id));
        }
    }

    fn count_ends(&mut self) {
        for row in self.ledger.rows.values() {
            match row.state {
                JobState::Succeeded => self.counts.succeeded += 1,
                JobState::Cancelled => self.counts.cancelled += 1,
                _ if row.error.as_deref() == Some(POISON) => self.counts.poisoned += 1,
                _ => self.counts.failed += 1,
            }
        }
    }
}
