//! The actors of the world: clients that enqueue jobs, and workers that run them, one small step at a time.

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use serde_json::json;
use shared::{
    Error,
    jobs::{
        Done, Outcome, Queue,
        policy::{LEASE, RENEW_INTERVAL},
        transport::selection::{HEAD_START, Selection},
    },
};

use crate::{
    checks::Track,
    machine::{Id, Row},
    world::{Lost, World},
};

/// The maximum of messages per queue in Redis; 1,000 in production.
const MAX_WAITING: u64 = 6;
/// How many jobs a worker runs at once.
const CAPACITY: usize = 4;
const SWEEP_INTERVAL: TimeDelta = TimeDelta::milliseconds(500);
const MAX_RECORD_TRIES: u32 = 5;

/// A request that enqueues jobs.
pub(crate) struct Request {
    jobs: Vec<(Id, Row)>,
    /// A tick of a schedule. The job is written only if the tick is new.
    tick: Option<(u8, i64)>,
    stage: Stage,
}

enum Stage {
    Open,
    Committed(Vec<(Id, Queue)>),
    Over,
}

impl Request {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

/// A worker process.
pub(crate) struct Worker {
    name: String,
    pub(crate) is_alive: bool,
    pub(crate) is_stopping: bool,
    pub(crate) frozen_until: Option<DateTime<Utc>>,
    /// The error of its clock.
    pub(crate) skew: TimeDelta,
    runs: Vec<Run>,
    /// One per queue, as in the relays of a real worker.
    selections: [Selection; Queue::ALL.len()],
    next_sweep: DateTime<Utc>,
}

/// A run of a job.
struct Run {
    id: Id,
    token: Id,
    attempt: i64,
    max_attempts: i64,
    work_left: u32,
    /// The outcome with which it has to stop.
    stop: Option<Outcome>,
    next_renewal: DateTime<Utc>,
    /// How it ended, and how many times recording that has failed.
    outcome: Option<(Outcome, u32)>,
}

/// What follows a step of a run.
enum Next {
    Continue,
    Over,
    WorkerDies,
}

impl Worker {
    pub(crate) fn new(id: Id) -> Self {
        Self {
            name: format!("worker-{id}"),
            is_alive: true,
            is_stopping: false,
            frozen_until: None,
            skew: TimeDelta::zero(),
            runs: Vec::new(),
            selections: std::array::from_fn(|_| Selection::new(MAX_WAITING)),
            next_sweep: DateTime::UNIX_EPOCH,
        }
    }

    pub(crate) fn receive_cancel(&mut self, id: Id) {
        for run in self.runs.iter_mut().filter(|run| run.id == id) {
            run.stop.get_or_insert(Outcome::Cancelled);
        }
    }
}

impl World {
    /// A request for one or two jobs, or for the job of a tick.
    pub(crate) fn new_request(&mut self) {
        let tick = self.chance(20).then(|| {
            let tick = self.now.timestamp() / 10;
            (self.rng.random_range(0..2), tick)
        });
        let count = if tick.is_some() { 1 } else { self.rng.random_range(1..=2) };
        let jobs = (0..count).map(|_| self.new_job()).collect();
        self.requests.push(Request { jobs, tick, stage: Stage::Open });
    }

    fn new_job(&mut self) -> (Id, Row) {
        let kind = match self.rng.random_range(0..100) {
            0..4 => "poison",
            4..15 => "bad",
            15..40 => "flaky",
            _ => "good",
        };
        let queue = Queue::ALL[self.rng.random_range(0..3)];
        let mut row = Row::new(self.now, kind, queue, self.rng.random_range(1..=4));
        if self.chance(30) {
            row.unique_key = Some(self.rng.random_range(0..3).to_string());
        }
        if self.chance(10) {
            row.run_at += TimeDelta::seconds(self.rng.random_range(1..20));
        }
        (self.new_id(), row)
    }

    pub(crate) fn client_step(&mut self) {
        let open: Vec<usize> = (0..self.requests.len()).filter(|n| !self.requests[*n].is_over()).collect();
        if !open.is_empty() {
            let index = open[self.rng.random_range(0..open.len())];
            self.client_step_of(index);
        }
    }

    pub(crate) fn client_step_of(&mut self, index: usize) {
        match std::mem::replace(&mut self.requests[index].stage, Stage::Over) {
            Stage::Over => {}
            Stage::Open => self.finish_transaction(index),
            Stage::Committed(jobs) => {
                // If the client is killed here, the relay pushes the jobs.
                if self.faults && self.chance(25) {
                    self.counts.killed_clients += 1;
                    return;
                }
                for (id, queue) in jobs {
                    if (self.redis[queue as usize].len() as u64) < MAX_WAITING {
                        self.push(queue, id);
                    }
                }
            }
        }
    }

    /// Commits or rolls back.
    fn finish_transaction(&mut self, index: usize) {
        let (jobs, tick) = (std::mem::take(&mut self.requests[index].jobs), self.requests[index].tick);
        let now = self.now;
        if self.faults && self.chance(20) {
            self.log(|| format!("rolled back: {:?}", jobs.iter().map(|job| job.0).collect::<Vec<_>>()));
            for (id, _) in jobs {
                self.counts.rolled_back += 1;
                self.tracks.insert(id, Track::rolled_back());
            }
            return;
        }
        if let Some(tick) = tick {
            if self.ticks.contains_key(&tick) {
                self.counts.ticks_refused += 1;
                return;
            }
            self.counts.ticks += 1;
            self.ticks.insert(tick, jobs[0].0);
        }
        let mut written = Vec::new();
        for (id, mut row) in jobs {
            // Each tick has a separate job.
            if tick.is_some() {
                row.unique_key = None;
            }
            let (queue, due) = (row.queue, row.run_at <= now);
            let inserted = self.ledger.insert(id, row);
            if inserted == id {
                self.counts.jobs += 1;
                self.tracks.insert(id, Track::committed());
            } else {
                self.counts.duplicate_keys += 1;
            }
            self.log(|| format!("committed {inserted}"));
            if due {
                written.push((inserted, queue));
            }
        }
        self.requests[index].stage = Stage::Committed(written);
    }

    /// A random worker takes up to three random steps.
    pub(crate) fn worker_step(&mut self) {
        let index = self.rng.random_range(0..self.workers.len());
        for _ in 0..3 {
            if !self.is_awake(index) {
                return;
            }
            match self.rng.random_range(0..10) {
                0..2 => self.sweep(index),
                2..5 => self.fetch(index),
                _ => {
                    let count = self.workers[index].runs.len();
                    if count > 0 {
                        let run = self.rng.random_range(0..count);
                        self.run_step(index, run);
                    }
                }
            }
            self.stop_if_done(index);
        }
    }

    /// Lets a worker without faults do everything that is due.
    pub(crate) fn worker_turn(&mut self, index: usize) {
        if self.is_awake(index) {
            self.sweep(index);
            self.fetch(index);
            for run in (0..self.workers[index].runs.len()).rev() {
                if self.workers[index].is_alive {
                    self.run_step(index, run);
                }
            }
        }
    }

    fn is_awake(&mut self, index: usize) -> bool {
        let (now, worker) = (self.now, &mut self.workers[index]);
        worker.frozen_until = worker.frozen_until.filter(|until| now < *until);
        worker.is_alive && worker.frozen_until.is_none()
    }

    /// Kills a worker. Its jobs stay running in the ledger, and its messages may be delivered again.
    pub(crate) fn kill_worker(&mut self, index: usize) {
        if std::mem::replace(&mut self.workers[index].is_alive, false) {
            self.counts.killed_workers += 1;
            let runs = std::mem::take(&mut self.workers[index].runs);
            self.log(|| format!("worker {index} dies with {} runs", runs.len()));
            for run in runs {
                // Redis redelivers the message or has lost it.
                if self.chance(50) {
                    self.push(self.ledger.rows[&run.id].queue, run.id);
                }
            }
        }
        if self.workers.iter().all(|worker| !worker.is_alive) {
            self.start_worker();
        }
    }

    fn stop_if_done(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if worker.is_alive && worker.is_stopping {
            for run in &mut worker.runs {
                run.stop.get_or_insert(Outcome::Released);
            }
            if worker.runs.is_empty() {
                worker.is_alive = false;
                self.log(|| format!("worker {index} has stopped"));
                if self.workers.iter().all(|worker| !worker.is_alive) {
                    self.start_worker();
                }
            }
        }
    }

    /// Runs the relays of all queues, with the product's selection of jobs.
    fn sweep(&mut self, index: usize) {
        let now = self.now + self.workers[index].skew;
        if self.workers[index].is_stopping || self.now < self.workers[index].next_sweep || !self.redis_is_up {
            return;
        }
        self.workers[index].next_sweep = self.now + SWEEP_INTERVAL;
        let failed = self.ledger.fail_poison(now);
        failed.into_iter().for_each(|id| self.check_poison(id));
        for queue in Queue::ALL {
            let (waiting, elapsed) = (self.redis[queue as usize].len() as u64, self.elapsed());
            let selection = &mut self.workers[index].selections[queue as usize];
            if selection.room(waiting) == 0 {
                continue;
            }
            let due = self.ledger.due(now, HEAD_START, queue, selection.rows_to_read(waiting));
            let selected = selection.select(due, waiting, elapsed);
            selection.record(&selected, elapsed);
            selected.iter().for_each(|job| self.push(queue, job.id.as_u128()));
        }
    }

    /// Fetches a message and claims its job.
    fn fetch(&mut self, index: usize) {
        let queue = self.rng.random_range(0..3);
        let worker = &self.workers[index];
        if worker.is_stopping
            || worker.runs.len() >= CAPACITY
            || !self.redis_is_up
            || self.redis[queue].is_empty()
        {
            return;
        }
        let (now, name) = (self.now + worker.skew, worker.name.clone());
        let (id, token) = (self.redis[queue].remove(0), self.new_id());
        let claimed = self.write(|world| {
            let before = world.ledger.rows.get(&id).cloned();
            let row = world.ledger.claim(now, LEASE, &name, token, id).cloned()?;
            world.check_claim(now, id, token, before);
            Some(row)
        });
        match claimed {
            Ok(Some(row)) => {
                self.counts.runs += 1;
                self.log(|| format!("worker {index} runs {id}, attempt {}", row.attempt));
                let run = Run {
                    id,
                    token,
                    attempt: row.attempt,
                    max_attempts: row.max_attempts,
                    work_left: self.rng.random_range(1..6),
                    stop: row.cancel_requested.then_some(Outcome::Cancelled),
                    next_renewal: self.now + TimeDelta::from_std(RENEW_INTERVAL).expect("short"),
                    outcome: None,
                };
                self.workers[index].runs.push(run);
            }
            Ok(None) | Err(Lost::Reply) => {}
            Err(Lost::Writer) => self.kill_worker(index),
        }
    }

    fn run_step(&mut self, index: usize, nth: usize) {
        let mut run = self.workers[index].runs.remove(nth);
        let next = match run.outcome {
            Some(_) => self.record(index, &mut run),
            None => self.work(index, &mut run),
        };
        match next {
            Next::Continue => self.workers[index].runs.push(run),
            Next::Over => {}
            Next::WorkerDies => {
                self.workers[index].runs.push(run);
                self.kill_worker(index);
            }
        }
    }

    /// Advances the run: some work, a renewal, or the end of the work.
    fn work(&mut self, index: usize, run: &mut Run) -> Next {
        if run.next_renewal <= self.now && run.stop.is_none() {
            return self.renew(index, run);
        }
        let outcome = match &run.stop {
            Some(Outcome::LeaseLost) => return Next::Over,
            Some(outcome) => outcome.clone(),
            None if run.work_left > 0 => {
                run.work_left -= 1;
                return Next::Continue;
            }
            None => {
                let result = match self.ledger.rows[&run.id].kind.clone().as_str() {
                    "poison" => return Next::WorkerDies,
                    "bad" => Err(Error::Permanent("never".into())),
                    "flaky" if self.chance(50) => Err(Error::Unavailable(anyhow!("not today"))),
                    "flaky" if self.chance(20) => Err(Error::RateLimited { retry_after: LEASE }),
                    _ => Ok(Done::with(json!({}))),
                };
                let now = self.now + self.workers[index].skew;
                let jitter = self.rng.random_range(0.0..1.0);
                Outcome::of(result, (run.attempt, run.max_attempts), now, jitter)
            }
        };
        run.outcome = Some((outcome, 0));
        Next::Continue
    }

    fn renew(&mut self, index: usize, run: &mut Run) -> Next {
        let (now, id, token) = (self.now + self.workers[index].skew, run.id, run.token);
        run.next_renewal = self.now + TimeDelta::from_std(RENEW_INTERVAL).expect("short");
        let progress = (run.attempt, i64::from(run.work_left));
        let renewed = self.write(|world| {
            let held = world.ledger.renew(now, LEASE, token, id, progress);
            world.check_write(id, token, held.is_some());
            if held.is_some() {
                world.check_renewal(now, id);
            }
            held
        });
        match renewed {
            Ok(Some(true)) => run.stop = Some(Outcome::Cancelled),
            Ok(None) => run.stop = Some(Outcome::LeaseLost),
            Ok(Some(false)) | Err(Lost::Reply) => {}
            Err(Lost::Writer) => return Next::WorkerDies,
        }
        Next::Continue
    }

    /// Records the outcome; a success sometimes together with a follow-up job.
    fn record(&mut self, index: usize, run: &mut Run) -> Next {
        let Some((outcome, tries)) = run.outcome.clone() else { return Next::Continue };
        let (now, id, token) = (self.now + self.workers[index].skew, run.id, run.token);
        let succeeded = matches!(outcome, Outcome::Succeeded(_));
        let follower = (succeeded && self.chance(10)).then(|| self.new_job());
        let recorded = self.write(|world| {
            let before = world.ledger.rows[&id].attempt;
            let closed = world.ledger.close(now, token, id, &outcome);
            world.check_write(id, token, closed);
            if closed {
                world.check_close(id, &outcome, before);
                if let Some((id, row)) = follower
                    && world.ledger.insert(id, row) == id
                {
                    world.counts.jobs += 1;
                    world.tracks.insert(id, Track::committed());
                }
            }
            closed
        });
        match recorded {
            Ok(_) => Next::Over,
            Err(Lost::Writer) => Next::WorkerDies,
            Err(Lost::Reply) if tries + 1 == MAX_RECORD_TRIES => Next::Over,
            Err(Lost::Reply) => {
                run.outcome = Some((outcome, tries + 1));
                Next::Continue
            }
        }
    }
}
