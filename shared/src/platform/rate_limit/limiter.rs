//! Takes calls out of budgets, in Redis or, while it is away, in the process.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{RedisResult, Script};

use super::{advance::Advance, budget::Decision};
use crate::{
    base::{
        coalesce::Coalesce,
        error::{Error, Result},
    },
    platform::{
        config::{Action, Budget},
        counters::Counters,
        redis::Redis,
    },
};

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
    advance: Advance,
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

/// Stores when the window of a caller will be unused again. Takes further calls in advance if half of the budget then
/// remains, so that those which are lost can only cost the other half. Returns how much was used before, and for how many
/// calls it was asked.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local window, interval, calls = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
         local used = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
         local all = calls + tonumber(ARGV[4])
         if used + all * interval <= window / 2 then
            calls = all
         end
         local granted = math.min(calls, math.floor(math.max(window - used, 0) / interval))
         if granted > 0 then
            local free = now + used + granted * interval
            redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000))
         end
         return {used, calls}",
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
        let shared = Shared {
            redis,
            calls: Coalesce::default(),
            advance: Advance::default(),
            in_process: Mutex::default(),
        };
        Self { shared: Arc::new(shared), counters, budgets }
    }

    /// The same limiter with other budgets.
    #[must_use]
    pub fn with_budgets(&self, budgets: [Budget; Action::ALL.len()]) -> Self {
        Self { budgets, ..self.clone() }
    }

    /// Takes one call out of the caller's budget. Frequent calls of one caller share a round trip to Redis.
    pub async fn take(&self, action: Action, caller: &str) -> Decision {
        self.take_within(action, self.budgets[action as usize], caller).await
    }

    /// As [`RateLimiter::take`], with another budget than that of the settings.
    pub async fn take_within(&self, action: Action, budget: Budget, caller: &str) -> Decision {
        let key: Arc<str> = self.shared.redis.keys().rate_limit(action.name(), caller).into();
        if let Some(decision) = self.shared.advance.spend(&key, 1).pop() {
            return decision;
        }
        let (shared, decided_key) = (self.shared.clone(), key.clone());
        let decided = self.shared.calls.join(&key, move |callers| {
            let (shared, key) = (shared.clone(), decided_key.clone());
            async move { shared.decide(action, &key, budget, callers).await }
        });
        decided.await.unwrap_or_else(|| Decision::unlimited(budget))
    }

    /// Gives a call back that did not count, such as a form with a typo.
    pub async fn give_back(&self, action: Action, caller: &str) {
        self.give_back_within(action, self.budgets[action as usize], caller).await;
    }

    /// As [`RateLimiter::give_back`], with another budget than that of the settings.
    pub async fn give_back_within(&self, action: Action, budget: Budget, caller: &str) {
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

    /// What [`RateLimiter::take_within`] would decide now. Takes nothing.
    pub async fn peek_within(&self, action: Action, budget: Budget, caller: &str) -> Decision {
        let key = self.shared.redis.keys().rate_limit(action.name(), caller);
        self.shared.peek(action, &key, budget).await
    }

    /// As [`RateLimiter::take`], for limits beside the one of the request.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub async fn check(&self, action: Action, caller: &str) -> Result<()> {
        let decision = self.take(action, caller).await;
        if decision.allowed { Ok(()) } else { Err(self.rejection(decision.retry_after)) }
    }

    /// Counts a rejection.
    #[must_use]
    pub fn rejection(&self, retry_after: Duration) -> Error {
        self.counters.increment("rate_limit_violations");
        Error::RateLimited { retry_after }
    }
}

impl Shared {
    async fn decide(&self, action: Action, key: &str, budget: Budget, calls: usize) -> Vec<Decision> {
        let mut decisions = self.advance.spend(key, calls);
        let missing = calls - decisions.len();
        if missing > 0 {
            decisions.extend(self.decide_together(action, key, budget, missing).await);
        }
        decisions
    }

    async fn decide_together(
        &self,
        action: Action,
        key: &str,
        budget: Budget,
        calls: usize,
    ) -> Vec<Decision> {
        let (asked_at, further) = (Instant::now(), self.advance.next_size(action, budget, key));
        let asked = u32::try_from(calls).unwrap_or(u32::MAX);
        match self.take_in_redis(key, budget, asked, further.unwrap_or(0)).await {
            Ok((used, taken)) => {
                let mut decisions = budget.decide(used, taken);
                let left = decisions.split_off(calls);
                if further.is_some() {
                    self.advance.keep(key, asked_at, left);
                }
                decisions
            }
            Err(error) => {
                tracing::debug!(%error, "rate limits without Redis");
                self.decide_in_process(action, key, budget, asked)
            }
        }
    }

    /// How much of the window was used before, and the number of calls that were asked for.
    async fn take_in_redis(
        &self,
        key: &str,
        budget: Budget,
        calls: u32,
        further: u32,
    ) -> RedisResult<(Duration, u32)> {
        let mut take = TAKE.key(key);
        take.arg(micros(budget.window)).arg(micros(budget.interval()).max(1)).arg(calls).arg(further);
        let (used, taken): (u64, u32) =
            self.redis.query(async |mut redis| take.invoke_async(&mut redis).await).await?;
        Ok((Duration::from_micros(used), taken))
    }

    async fn peek(&self, action: Action, key: &str, budget: Budget) -> Decision {
        let decision = match self.take_in_redis(key, budget, 0, 0).await {
            Ok((used, _)) => budget.decide(used, 1).pop(),
            Err(_) if matches!(action, Action::UserReads | Action::Default) => None,
            Err(_) => {
                let free = self.in_process.lock().get(key).copied();
                let used = free.map(|free| free.saturating_duration_since(Instant::now()));
                budget.without_redis().decide(used.unwrap_or_default(), 1).pop()
            }
        };
        decision.unwrap_or_else(|| Decision::unlimited(budget))
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
