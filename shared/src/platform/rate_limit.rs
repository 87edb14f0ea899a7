//! Rate limits by GCRA: a number of calls in any window of time, counted in Redis for all processes.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{RedisResult, Script};

pub use crate::platform::config::{Action, Budget};
use crate::{
    base::{
        coalesce::Coalesce,
        error::{Error, Result},
    },
    platform::{counters::Counters, redis::Redis},
};

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

impl Budget {
    /// The part of the window that a call uses.
    fn interval(self) -> Duration {
        self.window / self.calls
    }

    /// Half of it, because every process counts for itself.
    fn without_redis(self) -> Self {
        Self { calls: self.calls.div_ceil(2), ..self }
    }

    /// How many of `calls` are allowed when `used` of the window is used.
    fn fitting(self, used: Duration, calls: u32) -> u32 {
        let free = self.window.saturating_sub(used).as_micros() / self.interval().as_micros().max(1);
        u32::try_from(free).unwrap_or(u32::MAX).min(calls)
    }

    /// Decides on concurrent calls when `used` of the window was used before.
    fn decide(self, used: Duration, calls: u32) -> Vec<Decision> {
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

/// Limits how often callers may do something. Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
    counters: Counters,
    budgets: [Budget; Action::ALL.len()],
}

struct Shared {
    redis: Redis,
    calls: Coalesce<Decision>,
    /// Used while Redis is away: by key, when the caller's budget is whole again.
    in_process: Mutex<HashMap<String, Instant>>,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("budgets", &self.budgets).finish_non_exhaustive()
    }
}

/// Callers that are limited in the process at once. When there are more, all of them start again.
const MAX_CALLERS_IN_PROCESS: usize = 10_000;

/// Stores when the window of a caller will be unused again. Returns how much was used before.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local window, interval, calls = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
         local used = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
         local granted = math.min(calls, math.floor(math.max(window - used, 0) / interval))
         if granted > 0 then
            local free = now + used + granted * interval
            redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000))
         end
         return used",
    )
});

/// Moves the end of the used window back by the part that one call uses.
static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local free, left = tonumber(redis.call('GET', KEYS[1])), redis.call('PTTL', KEYS[1])
         if free and left > 0 then
            redis.call('SET', KEYS[1], string.format('%.0f', free - tonumber(ARGV[1])), 'PX', left)
         end",
    )
});

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl RateLimiter {
    /// A limiter with these budgets, in the order of [`Action::ALL`].
    #[must_use]
    pub fn new(redis: Redis, counters: Counters, budgets: [Budget; Action::ALL.len()]) -> Self {
        let shared = Shared { redis, calls: Coalesce::default(), in_process: Mutex::default() };
        Self { shared: Arc::new(shared), counters, budgets }
    }

    /// The same limiter with other budgets.
    #[must_use]
    pub fn with_budgets(&self, budgets: [Budget; Action::ALL.len()]) -> Self {
        Self { budgets, ..self.clone() }
    }

    /// Takes one call out of the caller's budget. Concurrent calls of one caller share a round trip to Redis.
    pub async fn take(&self, action: Action, caller: &str) -> Decision {
        let budget = self.budgets[action as usize];
        let key: Arc<str> = self.shared.redis.keys().rate_limit(action.name(), caller).into();
        let (shared, decided_key) = (self.shared.clone(), key.clone());
        let decided = self.shared.calls.join(&key, move |callers| {
            let (shared, key) = (shared.clone(), decided_key.clone());
            async move { shared.decide(action, &key, budget, callers).await }
        });
        let unlimited = Decision {
            budget,
            allowed: true,
            remaining: budget.calls,
            reset: Duration::ZERO,
            retry_after: Duration::ZERO,
        };
        decided.await.unwrap_or(unlimited)
    }

    /// Gives a call back that did not count, such as a form with a typo.
    pub async fn give_back(&self, action: Action, caller: &str) {
        let budget = self.budgets[action as usize];
        let key = self.shared.redis.keys().rate_limit(action.name(), caller);
        let mut give = GIVE_BACK.key(&key);
        give.arg(micros(budget.interval()));
        let given: RedisResult<()> =
            self.shared.redis.query(async |mut redis| give.invoke_async(&mut redis).await).await;
        if given.is_err()
            && let Some(free) = self.shared.in_process.lock().get_mut(&key)
        {
            *free = free.checked_sub(budget.without_redis().interval()).unwrap_or(*free);
        }
    }

    /// As [`RateLimiter::take`], for limits beside the one of the request.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub async fn check(&self, action: Action, caller: &str) -> Result<()> {
        let decision = self.take(action, caller).await;
        if decision.allowed {
            return Ok(());
        }
        self.counters.increment("rate_limit_violations");
        Err(Error::RateLimited { retry_after: decision.retry_after })
    }
}

impl Shared {
    async fn decide(&self, action: Action, key: &str, budget: Budget, calls: usize) -> Vec<Decision> {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        match self.used_in_redis(key, budget, calls).await {
            Ok(used) => budget.decide(used, calls),
            Err(error) => {
                tracing::debug!(%error, "rate limits without Redis");
                self.decide_in_process(action, key, budget, calls)
            }
        }
    }

    async fn used_in_redis(&self, key: &str, budget: Budget, calls: u32) -> RedisResult<Duration> {
        let mut take = TAKE.key(key);
        take.arg(micros(budget.window)).arg(micros(budget.interval()).max(1)).arg(calls);
        let used: u64 = self.redis.query(async |mut redis| take.invoke_async(&mut redis).await).await?;
        Ok(Duration::from_micros(used))
    }

    /// Half the budget for actions that attackers abuse, no limit for the others.
    fn decide_in_process(&self, action: Action, key: &str, budget: Budget, calls: u32) -> Vec<Decision> {
        if matches!(action, Action::UserReads | Action::Default) {
            return budget.decide(Duration::ZERO, 1).repeat(calls as usize);
        }
        let budget = budget.without_redis();
        let mut callers = self.in_process.lock();
        let now = Instant::now();
        if callers.len() >= MAX_CALLERS_IN_PROCESS {
            callers.retain(|_, free| *free > now);
        }
        if callers.len() >= MAX_CALLERS_IN_PROCESS {
            callers.clear();
        }
        let used = callers.get(key).map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let granted = budget.fitting(used, calls);
        callers.insert(key.to_owned(), now + used + budget.interval() * granted);
        budget.decide(used, calls)
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
