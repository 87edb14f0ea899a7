//! What was done to the processes, how long it took them to get over it, and how they stop.

use std::collections::BTreeSet;

use shared::jobs::ledger::row as job;

use super::{
    calm::Calm,
    judge::Evidence,
    kinds::{Event, Line},
    site::Stop,
};
use crate::report::{Goal, percentile, sorted};

impl Evidence<'_> {
    /// Times of something in seconds, with a goal for all but a hundredth.
    fn times(&mut self, what: &str, seconds: Vec<f64>, goal: f64) {
        if seconds.is_empty() {
            return;
        }
        let (name, times) = (self.name, sorted(seconds));
        self.report.add(
            format!("{name}: {what}, p50"),
            percentile(&times, 0.5),
            "s",
            format!("{} times", times.len()),
        );
        self.report.check(format!("{name}: {what}, p99"), percentile(&times, 0.99), "s", Goal::AtMost(goal));
    }

    /// How long after the death of a worker its jobs began elsewhere.
    pub(super) fn recovery(&mut self) {
        let (kills, outages) = {
            let notes = self.site.notes();
            (notes.kills.clone(), notes.outages.clone())
        };
        // Poison kills as soon as it has begun.
        let poisoned = self.lines.iter().filter(|line| self.is_poison(line)).map(|line| (line.at, line.pid));
        let kills: Vec<_> = kills.into_iter().chain(poisoned).collect();
        let (mut calm, mut all) = (Vec::new(), Vec::new());
        for (at, pid) in kills {
            let of_it = |event| self.lines.iter().filter(move |line| line.pid == pid && line.event == event);
            let ended: BTreeSet<_> = of_it(Event::End).map(|line| (line.id, line.attempt)).collect();
            for left in of_it(Event::Begin).filter(|line| !ended.contains(&(line.id, line.attempt))) {
                let next = self.lines.iter().filter(|line| {
                    line.id == left.id && line.event == Event::Begin && line.at > at && line.pid != pid
                });
                let Some(next) = next.map(|line| line.at).min() else { continue };
                let seconds = seconds(next - at);
                all.push(seconds);
                if !outages.iter().any(|(from, to)| at < to + 1_000_000 && *from < next) {
                    calm.push(seconds);
                }
            }
        }
        self.times("a killed worker's job runs elsewhere, Redis there", calm, 5.0);
        let times = sorted(all);
        self.report.add(
            format!("{}: the same with Redis away or not, worst", self.name),
            percentile(&times, 1.0),
            "s",
            format!("{} times", times.len()),
        );
    }

    /// What was done, and what it must not have led to.
    pub(super) fn processes(&mut self) {
        let notes = std::mem::take(&mut *self.site.notes());
        for (what, count) in [
            ("workers killed", notes.kills.len()),
            ("workers frozen", notes.frozen as usize),
            ("workers stopped", notes.stops.len()),
            ("poison jobs", notes.poison.len()),
            ("kills of the API between commit and push", notes.api_kills.len()),
            ("kills of Redis", notes.redis_kills as usize),
            ("databases of Redis emptied", notes.emptied as usize),
        ] {
            self.count(what, count);
        }
        let silent = |row: &&job::Model| {
            let created = u64::try_from(row.created_at.timestamp_micros()).unwrap_or_default();
            let mut kills = notes.api_kills.iter();
            row.kind.starts_with("send-") && kills.any(|(from, to)| (*from..*to).contains(&created))
        };
        let silent = self.rows.values().filter(silent).count();
        self.count("jobs committed by an API that could tell nobody", silent);
        self.none("ends that changed", notes.changed);
        self.none("workers that ended by themselves", notes.deserters);
        self.stops(&notes.stops);
        self.without_redis(&notes.returns);
    }

    /// How workers took SIGTERM.
    fn stops(&mut self, stops: &[Stop]) {
        // One that was told to stop may have had poison in its hands.
        let poisoned = self.lines.iter().filter(|line| self.is_poison(line));
        let poisoned: BTreeSet<u32> = poisoned.map(|line| line.pid).collect();
        let badly = stops.iter().filter(|(_, pid, seconds)| seconds.is_none() && !poisoned.contains(pid));
        let badly = badly.map(|(_, pid, _)| format!("worker {pid}")).collect();
        self.none("workers that did not stop well", badly);
        let (name, longest) = (self.name, stops.iter().filter_map(|stop| stop.2).fold(0.0, f64::max));
        let late = |stop: &Stop| 1000.0 * self.fetched_after(stop.0, stop.1).unwrap_or_default();
        let (worst, last) = (stops.iter().map(late).fold(0.0, f64::max), stops.last().map(late));
        self.report.must(format!("{name}: SIGTERM to exit, worst"), longest, "s", Goal::AtMost(30.0));
        let (what, note) = ("SIGTERM to the last job begun", "a claim under way may wait for the database");
        self.report.add(format!("{name}: {what}, in the storm"), worst, "ms", note);
        self.report.check(format!("{name}: {what}"), last.unwrap_or_default(), "ms", Goal::AtMost(50.0));
    }

    /// What went on while Redis was away, and after it.
    fn without_redis(&mut self, returns: &[u64]) {
        // While Redis is away nobody hears of a job, so the first that begins says that work goes on.
        let begins = || self.lines.iter().filter(|line| line.event == Event::Begin).map(|line| line.at);
        let first = |back: &u64| begins().filter(|at| at > back).min().map(|at| seconds(at - back));
        let resumed = returns.iter().filter_map(first).collect();
        self.times("Redis is back and work goes on", resumed, 3.0);
        let (asked, accepted) = self.load.asked().without_redis;
        self.count("exports asked for while Redis was away", usize::try_from(asked).unwrap_or_default());
        let refused = vec![String::new(); usize::try_from(asked - accepted).unwrap_or_default()];
        self.none("of these not answered with 202", refused);
    }

    /// What was measured after the storm.
    pub(super) fn calm(&mut self, calm: Calm) {
        self.report.add(format!("{}: everything done after the faults", self.name), calm.settled, "s", "");
        self.times("a cancelled job that runs has stopped", calm.cancels, 0.25);
        self.times("a job on the lane of poison begins", calm.beside_poison, 10.0);
        self.none("jobs cancelled while they waited, and begun", calm.risen);
        self.none("shutdowns that cost an attempt", calm.charged);
    }

    fn is_poison(&self, line: &Line) -> bool {
        self.rows.get(&line.id).is_some_and(|row| row.kind == "chaos-poison")
    }

    /// How long after SIGTERM a worker began its last job.
    fn fetched_after(&self, asked: u64, pid: u32) -> Option<f64> {
        let later =
            self.lines.iter().filter(|line| line.pid == pid && line.event == Event::Begin && line.at > asked);
        later.map(|line| seconds(line.at - asked)).max_by(f64::total_cmp)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
