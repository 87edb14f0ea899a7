//! A circuit breaker: after a failure, callers do without for a moment instead of waiting one after the other.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// After a failure, everybody does without for this long; then one caller tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens on failure, closes on success.
#[derive(Debug)]
pub struct Breaker {
    begun: Instant,
    /// Milliseconds after `begun` at which the next caller may try; zero while everything works.
    next_try: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { begun: Instant::now(), next_try: AtomicU64::new(0) }
    }
}

impl Breaker {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn pause_from(&self, now: u64) -> u64 {
        now.saturating_add(PAUSE.as_millis().try_into().unwrap_or(u64::MAX)).max(1)
    }

    /// Whether this caller may try: everybody while it works, one a second while it does not.
    pub fn lets_pass(&self) -> bool {
        let (now, next_try) = (self.now(), self.next_try.load(Ordering::Relaxed));
        next_try == 0
            || now >= next_try
                && self
                    .next_try
                    .compare_exchange(next_try, self.pause_from(now), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    /// Whether the last try failed.
    pub fn is_open(&self) -> bool {
        self.next_try.load(Ordering::Relaxed) != 0
    }

    /// What became of a try. Returns whether it works again now, after it did not.
    pub fn saw(&self, worked: bool) -> bool {
        let next_try = if worked { 0 } else { self.pause_from(self.now()) };
        let has_worked = self.next_try.swap(next_try, Ordering::Relaxed) == 0;
        match (has_worked, worked) {
            (true, false) => tracing::warn!("Redis does not answer; going on without"),
            (false, true) => tracing::info!("Redis answers again"),
            _ => {}
        }
        worked && !has_worked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_caller_a_second_tries() {
        let breaker = Breaker::default();
        assert!(breaker.lets_pass() && breaker.lets_pass());
        assert!(!breaker.saw(false));
        assert!(!breaker.lets_pass());
        breaker.next_try.store(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(3));
        assert!(breaker.lets_pass());
        assert!(!breaker.lets_pass());
        assert!(breaker.saw(true), "it works again");
        assert!(!breaker.saw(true), "it has worked before");
        assert!(breaker.lets_pass() && breaker.lets_pass());
    }
}
