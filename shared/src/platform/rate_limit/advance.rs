//! Calls that are taken out of a budget before they are made, so that most calls need no round trip.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use parking_lot::Mutex;

use super::budget::Decision;
use crate::platform::config::{Action, Budget};

/// How long calls are kept. Those that are not made until then are lost.
const LIFETIME: Duration = Duration::from_secs(1);

/// A batch is at most this part of the budget, and at most this many calls.
const SHARE: u32 = 20;
const MAX_CALLS: u32 = 32;

/// Callers whose calls are kept.
const MAX_CALLERS: u64 = 10_000;

/// The calls kept by a process, by caller.
pub(super) struct Advance(Cache<String, Arc<Batch>>);

struct Batch {
    taken_at: Instant,
    /// How many calls were taken in advance.
    size: u32,
    left: Mutex<VecDeque<Decision>>,
}

impl Default for Advance {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_CALLERS).time_to_live(LIFETIME).build())
    }
}

impl Advance {
    fn batch(&self, key: &str) -> Option<Arc<Batch>> {
        self.0.get(key).filter(|batch| batch.taken_at.elapsed() < LIFETIME)
    }

    /// Spends up to this many of the caller's calls.
    pub(super) fn spend(&self, key: &str, calls: usize) -> Vec<Decision> {
        let Some(batch) = self.batch(key) else { return Vec::new() };
        let mut left = batch.left.lock();
        let calls = calls.min(left.len());
        left.drain(..calls).collect()
    }

    /// How many calls to take in advance; `None` if that is never done. The number grows with each batch that is spent in time, so callers lose few, and
    /// none who call less than once a second.
    pub(super) fn next_size(&self, action: Action, budget: Budget, key: &str) -> Option<u32> {
        if !may_be_taken_in_advance(action, budget) {
            return None;
        }
        let largest = (budget.calls / SHARE).clamp(1, MAX_CALLS) - 1;
        Some(self.batch(key).map_or(0, |batch| largest.min(2 * batch.size + 1)))
    }

    /// Keeps calls that were taken in advance.
    pub(super) fn keep(&self, key: &str, taken_at: Instant, calls: Vec<Decision>) {
        let size = u32::try_from(calls.len()).unwrap_or(MAX_CALLS);
        self.0.insert(key.to_owned(), Arc::new(Batch { taken_at, size, left: Mutex::new(calls.into()) }));
    }
}

/// Budgets that protect from abuse stay exact, and so do those that return less than one call a second: a lost call is
/// missed there.
fn may_be_taken_in_advance(action: Action, budget: Budget) -> bool {
    matches!(action, Action::UserReads | Action::Default) && budget.interval() <= Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Budget = Budget { calls: 600, window: Duration::from_secs(60) };

    #[test]
    fn batches_grow_while_they_are_spent() {
        let advance = Advance::default();
        let mut sizes = Vec::new();
        for _ in 0..7 {
            let size = advance.next_size(Action::Default, FAST, "asha").unwrap();
            sizes.push(size);
            advance.keep("asha", Instant::now(), FAST.decide(Duration::ZERO, size));
            assert_eq!(advance.spend("asha", 100).len(), size as usize);
        }
        assert_eq!(sizes, [0, 1, 3, 7, 15, 29, 29]);
        assert_eq!(advance.next_size(Action::Default, FAST, "ravi"), Some(0));
    }

    #[test]
    fn calls_are_lost_after_a_second() {
        let advance = Advance::default();
        let before = Instant::now().checked_sub(LIFETIME).unwrap();
        advance.keep("asha", before, FAST.decide(Duration::ZERO, 15));
        assert!(advance.spend("asha", 1).is_empty());
        assert_eq!(advance.next_size(Action::Default, FAST, "asha"), Some(0));
    }

    #[test]
    fn budgets_against_abuse_and_slow_ones_are_exact() {
        let fast = |action| may_be_taken_in_advance(action, FAST);
        assert_eq!(
            Action::ALL.map(|(action, _)| fast(action)),
            [true, false, false, false, false, false, false, true]
        );
        let slow = Budget { calls: 50, window: Duration::from_secs(3600) };
        assert!(!may_be_taken_in_advance(Action::UserReads, slow));
    }
}
