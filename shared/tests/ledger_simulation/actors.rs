//! Who acts in the world: clients that ask for jobs, and workers that run them, one small step at a time.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use shared::jobs::{
    Interruption, Queue,
    machine::{Id, Row},
    policy::{self, Close, Ending, LEASE, RENEW_EVERY, Verdict},
};

use crate::{
    checks::Track,
    world::{Lost, World},
};

/// Jobs of a queue in Redis at most; a real one holds a thousand.
const MOST_WAITING: usize = 6;
const CAPACITY: usize = 4;
const HEAD_START: Duration = Duration::from_secs(1);
const PATIENCE: TimeDelta = TimeDelta::seconds(10);
const PATIENCE_WITH_EMPTY_QUEUE: TimeDelta = TimeDelta::seconds(1);
const SWEEP_EVERY: TimeDelta = TimeDelta::milliseconds(500);
const RECORD_TRIES: u32 = 5;

/// A request that changes something and asks for jobs.
pub(crate) struct Request {
    jobs: Vec<(Id, Row)>,
    /// A tick of a schedule, whose insert decides whether the job is written.
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
    /// How wrong its clock is.
    pub(crate) skew: TimeDelta,
    runs: Vec<Run>,
    pushed: BTreeMap<(Id, i64), DateTime<Utc>>,
    next_sweep: DateTime<Utc>,
}

/// A job in the hands of a worker.
struct Run {
    id: Id,
    token: Id,
    attempt: i64,
    max_attempts: i64,
    work_left: u32,
    interrupted: Option<Interruption>,
    next_renewal: DateTime<Utc>,
    /// How it ended, and how often recording that was tried.
    ending: Option<(Verdict, u32)>,
}

/// What is left of a run after a step.
enum After {
    GoesOn,
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
            pushed: BTreeMap::new(),
            next_sweep: DateTime::UNIX_EPOCH,
        }
    }

    pub(crate) fn hear_cancel(&mut self, id: Id) {
        for run in self.runs.iter_mut().filter(|run| run.id == id) {
            run.interrupted.get_or_insert(Interruption::Cancelled);
        }
    }
}

impl World {
    /// Somebody wants something: one or two jobs, or the job of a tick.
    pub(crate) fn ask(&mut self) {
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
                // A client that is killed here leaves it to the relay.
                if self.faults && self.chance(25) {
                    self.counts.killed_clients += 1;
                    return;
                }
                for (id, queue) in jobs {
                    if self.redis[queue as usize].len() < MOST_WAITING {
                        self.push(queue, id);
                    }
                }
            }
        }
    }

    /// Commits, rolls back, or dies before or after.
    fn finish_transaction(&mut self, index: usize) {
        let (jobs, tick) = (std::mem::take(&mut self.requests[index].jobs), self.requests[index].tick);
        let now = self.now;
        if self.faults && self.chance(20) {
            self.say(|| format!("rolled back: {:?}", jobs.iter().map(|job| job.0).collect::<Vec<_>>()));
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
            // A tick stands for one job of its own.
            if tick.is_some() {
                row.unique_key = None;
            }
            let (queue, due) = (row.queue, row.run_at <= now);
            let there = self.ledger.insert(id, row);
            if there == id {
                self.counts.jobs += 1;
                self.tracks.insert(id, Track::committed());
            } else {
                self.counts.duplicate_keys += 1;
            }
            self.say(|| format!("committed {there}"));
            if due {
                written.push((there, queue));
            }
        }
        self.requests[index].stage = Stage::Committed(written);
    }

    /// Any worker does any few things.
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

    /// A worker without faults: everything that is to be done now.
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

    /// Death: what it ran stays as it is in the ledger, what it had fetched may come back.
    pub(crate) fn kill_worker(&mut self, index: usize) {
        if std::mem::replace(&mut self.workers[index].is_alive, false) {
            self.counts.killed_workers += 1;
            let runs = std::mem::take(&mut self.workers[index].runs);
            self.say(|| format!("worker {index} dies with {} runs", runs.len()));
            for run in runs {
                // Redis gives the message back, or has lost it.
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
                run.interrupted.get_or_insert(Interruption::Shutdown);
            }
            if worker.runs.is_empty() {
                worker.is_alive = false;
                self.say(|| format!("worker {index} has stopped"));
                if self.workers.iter().all(|worker| !worker.is_alive) {
                    self.start_worker();
                }
            }
        }
    }

    /// The relay of all queues, as in `relay.rs`.
    fn sweep(&mut self, index: usize) {
        let now = self.now + self.workers[index].skew;
        if self.workers[index].is_stopping || self.now < self.workers[index].next_sweep || !self.redis_is_up {
            return;
        }
        self.workers[index].next_sweep = self.now + SWEEP_EVERY;
        let buried = self.ledger.bury_poison(now);
        buried.into_iter().for_each(|id| self.check_burial(id));
        for queue in Queue::ALL {
            let waiting = self.redis[queue as usize].len();
            let patience = if waiting == 0 { PATIENCE_WITH_EMPTY_QUEUE } else { PATIENCE };
            let due = self.ledger.due(now, HEAD_START, queue);
            let since = self.now;
            self.workers[index].pushed.retain(|_, at| since - *at < patience);
            let fresh: Vec<_> =
                due.into_iter().filter(|job| !self.workers[index].pushed.contains_key(job)).collect();
            for job in fresh.into_iter().take(MOST_WAITING.saturating_sub(waiting)) {
                self.push(queue, job.0);
                self.workers[index].pushed.insert(job, since);
            }
        }
    }

    /// Takes a message and claims its job.
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
                self.say(|| format!("worker {index} runs {id}, attempt {}", row.attempt));
                let run = Run {
                    id,
                    token,
                    attempt: row.attempt,
                    max_attempts: row.max_attempts,
                    work_left: self.rng.random_range(1..6),
                    interrupted: row.cancel_requested.then_some(Interruption::Cancelled),
                    next_renewal: self.now + TimeDelta::from_std(RENEW_EVERY).expect("short"),
                    ending: None,
                };
                self.workers[index].runs.push(run);
            }
            Ok(None) | Err(Lost::Reply) => {}
            Err(Lost::Writer) => self.kill_worker(index),
        }
    }

    fn run_step(&mut self, index: usize, nth: usize) {
        let mut run = self.workers[index].runs.remove(nth);
        let after = match run.ending {
            Some(_) => self.record(index, &mut run),
            None => self.work(index, &mut run),
        };
        match after {
            After::GoesOn => self.workers[index].runs.push(run),
            After::Over => {}
            After::WorkerDies => {
                self.workers[index].runs.push(run);
                self.kill_worker(index);
            }
        }
    }

    /// A piece of work, or a renewal, or the end of the work.
    fn work(&mut self, index: usize, run: &mut Run) -> After {
        if run.next_renewal <= self.now && run.interrupted.is_none() {
            return self.renew(index, run);
        }
        let kind = self.ledger.rows[&run.id].kind.clone();
        let ending = match run.interrupted {
            Some(Interruption::LeaseLost) => return After::Over,
            Some(Interruption::Cancelled) => Ending::Cancelled,
            Some(Interruption::Shutdown) => Ending::Shutdown,
            None if run.work_left > 0 => {
                run.work_left -= 1;
                return After::GoesOn;
            }
            None => match kind.as_str() {
                "poison" => return After::WorkerDies,
                "bad" => Ending::Permanent,
                "flaky" if self.chance(50) => Ending::Transient,
                "flaky" if self.chance(20) => Ending::Busy(LEASE),
                _ => Ending::Succeeded,
            },
        };
        let chance = self.rng.random_range(0.0..1.0);
        run.ending = Some((policy::verdict(ending, run.attempt, run.max_attempts, chance), 0));
        After::GoesOn
    }

    fn renew(&mut self, index: usize, run: &mut Run) -> After {
        let (now, id, token) = (self.now + self.workers[index].skew, run.id, run.token);
        run.next_renewal = self.now + TimeDelta::from_std(RENEW_EVERY).expect("short");
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
            Ok(Some(true)) => run.interrupted = Some(Interruption::Cancelled),
            Ok(None) => run.interrupted = Some(Interruption::LeaseLost),
            Ok(Some(false)) | Err(Lost::Reply) => {}
            Err(Lost::Writer) => return After::WorkerDies,
        }
        After::GoesOn
    }

    /// Writes the end down, together with a job that follows from a success.
    fn record(&mut self, index: usize, run: &mut Run) -> After {
        let Some((verdict, tries)) = run.ending else { return After::GoesOn };
        let (now, id, token) = (self.now + self.workers[index].skew, run.id, run.token);
        let follower = (verdict == Verdict::Succeed && self.chance(10)).then(|| self.new_job());
        let recorded = self.write(|world| {
            let before = world.ledger.rows[&id].attempt;
            let closed = world.ledger.close(now, token, id, Close::of(verdict, now, "{}", "not today"));
            world.check_write(id, token, closed);
            if closed {
                world.check_close(id, verdict, before);
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
            Ok(_) => After::Over,
            Err(Lost::Writer) => After::WorkerDies,
            Err(Lost::Reply) if tries + 1 == RECORD_TRIES => After::Over,
            Err(Lost::Reply) => {
                run.ending = Some((verdict, tries + 1));
                After::GoesOn
            }
        }
    }
}
