//! Admission: each gate lets in as many concurrent requests as finish quickly. The rest get 503 at once; there is no queue.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use shared::{app::App, parking::accounts::password::Priority, platform::metrics::HTTP_SHED};

use crate::http::{policy::Gate, problem::Problem};

/// The limit rises while nine of ten requests finish within this time, and falls otherwise.
const TARGET: Duration = Duration::from_millis(100);

/// The limit never falls below this.
const MIN_LIMIT: usize = 12;

/// The limit is adjusted at most this often, and after at least this many requests.
const ADJUST_EVERY: Duration = Duration::from_millis(100);
const MIN_SAMPLES: usize = 10;

/// Rejections are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The gates of a process.
#[derive(Debug)]
pub(crate) struct Gates {
    /// Hashing a password occupies a core, so these gates have as many places as hashes can wait, and how long their
    /// requests take says nothing about the others.
    logins: Limit,
    passwords: Limit,
    requests: Limit,
}

impl Gates {
    pub(crate) fn new(app: &App) -> Self {
        let (max, target) = match app.config.max_requests {
            0 => (usize::MAX, Duration::MAX),
            max => (max, TARGET),
        };
        let hashing = |priority: Priority| Limit::new(priority.capacity().min(max), Duration::MAX);
        let (logins, passwords) = (hashing(Priority::Login), hashing(Priority::Other));
        Self { logins, passwords, requests: Limit::new(max, target) }
    }

    /// Whether a request would be rejected now.
    pub(crate) fn is_full(&self, gate: Gate) -> bool {
        self.get(gate).is_some_and(Limit::is_full)
    }

    /// Takes a place until it is dropped; an open gate needs none.
    pub(crate) fn enter(&self, gate: Gate) -> Result<Option<Place<'_>>, Problem> {
        let Some(limit) = self.get(gate) else { return Ok(None) };
        limit.enter().map(Some).ok_or_else(Problem::at_capacity)
    }

    const fn get(&self, gate: Gate) -> Option<&Limit> {
        match gate {
            Gate::Open => None,
            Gate::Logins => Some(&self.logins),
            Gate::Passwords => Some(&self.passwords),
            Gate::Requests => Some(&self.requests),
        }
    }
}

/// An adaptive limit on concurrent requests.
#[derive(Debug)]
struct Limit {
    max: usize,
    target: Duration,
    current: AtomicUsize,
    inside: AtomicUsize,
    samples: Mutex<Samples>,
    refused: Mutex<Refused>,
}

/// How long requests took since the last adjustment.
#[derive(Debug)]
struct Samples {
    since: Instant,
    times: Vec<Duration>,
}

/// Rejections since the last log line.
#[derive(Debug, Default)]
struct Refused {
    count: u64,
    logged_at: Option<Instant>,
}

/// A place behind a gate.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    limit: &'a Limit,
    since: Instant,
}

impl Limit {
    fn new(max: usize, target: Duration) -> Self {
        Self {
            max,
            target,
            current: max.into(),
            inside: 0.into(),
            samples: Mutex::new(Samples { since: Instant::now(), times: Vec::new() }),
            refused: Mutex::default(),
        }
    }

    fn is_full(&self) -> bool {
        let is_full = self.inside.load(Relaxed) >= self.current.load(Relaxed);
        if is_full {
            self.count_refusal();
        }
        is_full
    }

    fn enter(&self) -> Option<Place<'_>> {
        let limit = self.current.load(Relaxed);
        let entered =
            self.inside.fetch_update(Relaxed, Relaxed, |inside| (inside < limit).then_some(inside + 1));
        if entered.is_err() {
            self.count_refusal();
        }
        entered.ok().map(|_| Place { limit: self, since: Instant::now() })
    }

    fn count_refusal(&self) {
        metrics::counter!(HTTP_SHED).increment(1);
        let mut refused = self.refused.lock();
        refused.count += 1;
        if refused.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            let (inside, max) = (self.inside.load(Relaxed), self.max);
            tracing::warn!(refused = refused.count, inside, max, "at capacity; requests are refused");
            *refused = Refused { count: 0, logged_at: Some(Instant::now()) };
        }
    }

    /// Lowers the limit by a quarter if the 90th percentile misses the target, otherwise raises it by an eighth.
    fn adjust(&self, took: Duration) {
        let mut samples = self.samples.lock();
        samples.times.push(took);
        if samples.since.elapsed() < ADJUST_EVERY || samples.times.len() < MIN_SAMPLES {
            return;
        }
        let slow = (samples.times.len() - 1) * 9 / 10;
        let is_slow = *samples.times.select_nth_unstable(slow).1 > self.target;
        let limit = self.current.load(Relaxed);
        let next = if is_slow { limit - limit / 4 } else { limit.saturating_add((limit / 8).max(1)) };
        self.current.store(next.clamp(MIN_LIMIT.min(self.max), self.max), Relaxed);
        samples.times.clear();
        samples.since = Instant::now();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limit.inside.fetch_sub(1, Relaxed);
        self.limit.adjust(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(limit: &Limit, took: Duration) {
        limit.samples.lock().since -= ADJUST_EVERY;
        (0..MIN_SAMPLES).for_each(|_| limit.adjust(took));
    }

    #[test]
    fn slow_requests_lower_the_limit_and_fast_ones_raise_it() {
        let limit = Limit::new(64, TARGET);
        let current = || limit.current.load(Relaxed);
        sample(&limit, TARGET * 2);
        assert_eq!(current(), 48);
        (0..20).for_each(|_| sample(&limit, TARGET * 2));
        assert_eq!(current(), MIN_LIMIT);
        sample(&limit, TARGET);
        assert_eq!(current(), MIN_LIMIT + 1);
        (0..40).for_each(|_| sample(&limit, TARGET));
        assert_eq!(current(), 64);
    }

    #[test]
    fn one_slow_request_in_ten_changes_nothing() {
        let limit = Limit::new(64, TARGET);
        limit.current.store(40, Relaxed);
        limit.samples.lock().times = vec![TARGET * 9];
        sample(&limit, TARGET);
        assert_eq!(limit.current.load(Relaxed), 45);
    }

    #[test]
    fn leaving_frees_a_place() {
        let limit = Limit::new(2, TARGET);
        let (first, _second) = (limit.enter().unwrap(), limit.enter().unwrap());
        assert!(limit.is_full() && limit.enter().is_none());
        drop(first);
        assert!(!limit.is_full() && limit.enter().is_some());
    }
}
