//! Checks of the processes: how soon they recovered from each fault, and how they stopped.

use std::collections::BTreeSet;

use bench::report::{Goal, percentile, sorted};
use shared::jobs::ledger::row as job;

use super::{cluster::Stop, evidence::Evidence, journal::Event, quiet::Quiet};

impl Evidence<'_> {
    /// Durations in seconds, with a goal for the 99th percentile.
    fn times(&mut self, what: &str, seconds: Vec<f64>, goal: f64) {
        if seconds.is_empty() {
            return;
        }
        let (name, times) = (self.name, sorted(seconds));
        let note = format!("{} times", times.len());
        self.report.add(format!("{name}: {what}, p50"), percentile(&times, 0.5), "s", note);
        self.report.check(format!("{name}: {what}, p99"), percentile(&times, 0.99), "s", Goal::AtMost(goal));
    }

    /// How soon the jobs of a killed worker began on another one.
    pub fn recovery(&mut self) {
        let (kills, outages) = {
            let notes = self.cluster.notes();
            (notes.kills.clone(), notes.outages.clone())
        };
        // A poison job kills its worker as soon as it has begun.
        let poisoned = self.lines.iter().filter(|line| self.is_poison(line)).map(|line| (line.at, line.pid));
        let kills: Vec<_> = kills.into_iter().chain(poisoned).collect();
        let (mut with_redis, mut all) = (Vec::new(), Vec::new());
        for (at, pid) in kills {
            let of_worker =
                |event| self.lines.iter().filter(move |line| line.pid == pid && line.event == event);
            let ended: BTreeSet<_> = of_worker(Event::End).map(|line| (line.id, line.attempt)).collect();
            for left in of_worker(Event::Begin).filter(|line| !ended.contains(&(line.id, line.attempt))) {
                let next = self.lines.iter().filter(|line| {
                    line.id == left.id && line.event == Event::Begin && line.at > at && line.pid != pid
                });
                let Some(next) = next.map(|line| line.at).min() else { continue };
                let seconds = seconds(next - at);
                all.push(seconds);
                if !outages.iter().any(|(from, to)| at < to + 1_000_000 && *from < next) {
                    with_redis.push(seconds);
                }
            }
        }
        self.times("job of a killed worker runs again", with_redis, 5.0);
        let (times, name) = (sorted(all), self.name);
        let note = format!("{} times", times.len());
        self.report.add(
            format!("{name}: the same, also without Redis, worst"),
            percentile(&times, 1.0),
            "s",
            note,
        );
    }

    /// What was done to the processes, and what it must not have caused.
    pub fn processes(&mut self) {
        let notes = std::mem::take(&mut *self.cluster.notes());
        for (what, count) in [
            ("workers killed", notes.kills.len()),
            ("workers frozen", notes.freezes as usize),
            ("workers stopped", notes.stops.len()),
            ("poison jobs", notes.poison.len()),
            ("kills of the API between commit and announcement", notes.api_kills.len()),
            ("kills of Redis", notes.redis_kills as usize),
            ("flushes of Redis", notes.flushes as usize),
        ] {
            self.count(what, count);
        }
        let unannounced = |row: &&job::Model| {
            let created = u64::try_from(row.created_at.timestamp_micros()).unwrap_or_default();
            let mut kills = notes.api_kills.iter();
            row.kind.starts_with("send-") && kills.any(|(from, to)| (*from..*to).contains(&created))
        };
        let unannounced = self.rows.values().filter(unannounced).count();
        self.count("jobs committed but not announced", unannounced);
        self.none("finished jobs that changed", notes.changed);
        self.none("workers that exited by themselves", notes.unexpected_exits);
        self.stops(&notes.stops);
        self.without_redis(&notes.returns);
    }

    /// How workers reacted to SIGTERM.
    fn stops(&mut self, stops: &[Stop]) {
        // A stopping worker may still have run a poison job.
        let poisoned = self.lines.iter().filter(|line| self.is_poison(line));
        let poisoned: BTreeSet<u32> = poisoned.map(|line| line.pid).collect();
        let failed = stops.iter().filter(|stop| stop.seconds.is_none() && !poisoned.contains(&stop.pid));
        let failed = failed.map(|stop| format!("worker {}", stop.pid)).collect();
        self.none("workers that did not exit cleanly", failed);
        let (name, longest) = (self.name, stops.iter().filter_map(|stop| stop.seconds).fold(0.0, f64::max));
        let late = |stop: &Stop| 1000.0 * self.began_after(stop).unwrap_or_default();
        let (worst, last) = (stops.iter().map(late).fold(0.0, f64::max), stops.last().map(late));
        self.report.require(format!("{name}: SIGTERM to exit, worst"), longest, "s", Goal::AtMost(30.0));
        let (what, note) = ("SIGTERM to the last job begun", "a pending claim may wait for the database");
        self.report.add(format!("{name}: {what}, worst"), worst, "ms", note);
        self.report.check(
            format!("{name}: {what}, without faults"),
            last.unwrap_or_default(),
            "ms",
            Goal::AtMost(50.0),
        );
    }

    /// What worked while Redis was away, and how soon work went on afterwards.
    fn without_redis(&mut self, returns: &[u64]) {
        // Without Redis no job begins.
        let begins = || self.lines.iter().filter(|line| line.event == Event::Begin).map(|line| line.at);
        let first = |back: &u64| begins().filter(|at| at > back).min().map(|at| seconds(at - back));
        let resumed = returns.iter().filter_map(first).collect();
        self.times("Redis is back, the next job begins", resumed, 3.0);
        let (requested, accepted) = self.load.requests().without_redis;
        self.count("exports requested without Redis", usize::try_from(requested).unwrap_or_default());
        let rejected = vec![String::new(); usize::try_from(requested - accepted).unwrap_or_default()];
        self.none("of these not answered with 202", rejected);
    }

    /// What was measured after the faults had ended.
    pub fn quiet(&mut self, quiet: Quiet) {
        self.report.add(format!("{}: all jobs done after the last fault", self.name), quiet.settled, "s", "");
        self.times("a cancelled running job stops", quiet.cancels, 0.25);
        self.times("a job on the queue of a poison job begins", quiet.beside_poison, 10.0);
        self.none("jobs begun after they were cancelled", quiet.begun_after_cancel);
        self.none("shutdowns that cost an attempt", quiet.charged);
    }

    /// How many seconds after SIGTERM the worker began its last job.
    fn began_after(&self, stop: &Stop) -> Option<f64> {
        let begins = self.lines.iter().filter(|line| line.pid == stop.pid && line.event == Event::Begin);
        let later = begins.filter(|line| line.at > stop.at);
        later.map(|line| seconds(line.at - stop.at)).max_by(f64::total_cmp)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
