//! How many calls a budget allows.

use std::time::Duration;

use crate::platform::config::Budget;

/// Whether a call is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The budget.
    pub budget: Budget,
    /// Whether the call is allowed.
    pub allowed: bool,
    /// Calls that are left.
    pub remaining: u32,
    /// Until the whole budget is available again.
    pub reset: Duration,
    /// Until the next call is allowed; zero if this one is.
    pub retry_after: Duration,
}

impl Decision {
    /// For calls that no budget limits.
    pub(super) const fn unlimited(budget: Budget) -> Self {
        let (remaining, none) = (budget.calls, Duration::ZERO);
        Self { budget, allowed: true, remaining, reset: none, retry_after: none }
    }
}

impl Budget {
    /// The part of the window that a call uses.
    pub(super) fn interval(self) -> Duration {
        self.window / self.calls
    }

    /// Half of it, because every process counts for itself.
    pub(super) fn without_redis(self) -> Self {
        Self { calls: self.calls.div_ceil(2), ..self }
    }

    /// How many of `calls` are allowed when `used` of the window is used.
    pub(super) fn fitting(self, used: Duration, calls: u32) -> u32 {
        let free = self.window.saturating_sub(used).as_micros() / self.interval().as_micros().max(1);
        u32::try_from(free).unwrap_or(u32::MAX).min(calls)
    }

    /// Decides on concurrent calls when `used` of the window was used before.
    pub(super) fn decide(self, used: Duration, calls: u32) -> Vec<Decision> {
        let granted = self.fitting(used, calls);
        (1..=calls)
            .map(|call| {
                let used = used + self.interval() * call.min(granted);
                let allowed = call <= granted;
                let retry_after = (used + self.interval()).saturating_sub(self.window);
                Decision {
                    budget: self,
                    allowed,
                    remaining: self.fitting(used, self.calls),
                    reset: used,
                    retry_after: if allowed { Duration::ZERO } else { retry_after },
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN_A_MINUTE: Budget = Budget { calls: 10, window: Duration::from_secs(60) };

    #[test]
    fn after_the_whole_budget_callers_wait_for_one_interval() {
        let decisions = TEN_A_MINUTE.decide(Duration::ZERO, 12);
        let allowed: Vec<bool> = decisions.iter().map(|decision| decision.allowed).collect();
        assert_eq!(allowed, [[true; 10].as_slice(), &[false; 2]].concat());
        let remaining: Vec<u32> = decisions.iter().map(|decision| decision.remaining).collect();
        assert_eq!(remaining, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]);
        assert_eq!(decisions[0].reset, Duration::from_secs(6));
        assert_eq!(decisions[11].retry_after, Duration::from_secs(6));
    }

    #[test]
    fn budgets_are_parsed_as_calls_per_seconds() {
        assert_eq!("10/60".parse(), Ok(TEN_A_MINUTE));
        for text in ["", "10", "0/60", "10/0", "-1/60", "10/60/1", "10/86401", "10000001/1", " 10/60"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    proptest! {
        /// Concurrent calls never get more than the budget, and all after the first rejection are rejected.
        #[test]
        fn never_more_than_the_budget_at_once(calls in 1..50_u32, seconds in 1..3600_u64, used in 0..7200_u64, asked in 1..100_u32) {
            let budget = Budget { calls, window: Duration::from_secs(seconds) };
            let decisions = budget.decide(Duration::from_secs(used), asked);
            let allowed = decisions.iter().filter(|decision| decision.allowed).count();
            prop_assert!(allowed <= calls as usize);
            prop_assert_eq!(decisions.len(), asked as usize);
            let first_refused = decisions.iter().position(|decision| !decision.allowed).unwrap_or(decisions.len());
            prop_assert!(decisions[first_refused..].iter().all(|decision| !decision.allowed && !decision.retry_after.is_zero()));
        }
    }
}
