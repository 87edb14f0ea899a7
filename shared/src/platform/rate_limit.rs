//! Rate limits: so many calls in any span of time (GCRA), counted in Redis for all processes together.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::Script;

use crate::{
    app::App,
    base::{
        coalesce::Coalesce,
        error::{Error, Result},
    },
    platform::counters,
};

/// What is limited. The table of budgets is [`Action::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reading users.
    UserReads,
    /// Logging in.
    Login,
    /// Opening accounts.
    Register,
    /// Asking for exports.
    Export,
    /// Sending a mail; the one caller is all workers together.
    Mail,
    /// Everything else.
    Default,
}

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls, at least one.
    pub calls: u32,
    /// At least a second.
    pub window: Duration,
}

impl Action {
    /// Every action with the setting that overrides its budget.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::UserReads, "RATE_LIMIT_USER_READS"),
        (Self::Login, "RATE_LIMIT_LOGIN"),
        (Self::Register, "RATE_LIMIT_REGISTER"),
        (Self::Export, "RATE_LIMIT_EXPORT"),
        (Self::Mail, "MAIL_RATE_LIMIT"),
        (Self::Default, "RATE_LIMIT_DEFAULT"),
    ];

    /// As in keys and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserReads => "user_reads",
            Self::Login => "login",
            Self::Register => "register",
            Self::Export => "export",
            Self::Mail => "mail",
            Self::Default => "default",
        }
    }

    /// Whether it is limited although Redis is away.
    const fn is_guarded_without_redis(self) -> bool {
        matches!(self, Self::Login | Self::Register | Self::Export | Self::Mail)
    }

    /// Its budget.
    #[must_use]
    pub fn budget(self, app: &App) -> Budget {
        app.config.rate_limits[self as usize]
    }
}

impl std::str::FromStr for Budget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let budget = text.split_once('/').and_then(|(calls, seconds)| {
            let (calls, seconds) = (calls.parse::<u32>().ok()?, seconds.parse::<u64>().ok()?);
            let fits = (1..=10_000_000).contains(&calls) && (1..=86_400).contains(&seconds);
            fits.then_some(Self { calls, window: Duration::from_secs(seconds) })
        });
        budget.ok_or("must be CALLS/SECONDS such as 10/60, with 1 to 10000000 calls and 1 to 86400 seconds")
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The limit.
    pub budget: Budget,
    /// Whether the call may go on.
    pub allowed: bool,
    /// Calls that could follow at once.
    pub remaining: u32,
    /// Until the budget is whole again.
    pub reset: Duration,
    /// Until the next call is allowed; zero where this one is.
    pub retry_after: Duration,
}

impl Budget {
    /// Time that a call uses up.
    fn interval(self) -> Duration {
        self.window / self.calls
    }

    /// How many of `calls` fit, when `used` of the window is used up.
    fn fitting(self, used: Duration, calls: u32) -> u32 {
        let free = self.window.saturating_sub(used).as_micros() / self.interval().as_micros().max(1);
        u32::try_from(free).unwrap_or(u32::MAX).min(calls)
    }

    /// What becomes of `calls` calls that come together, when `used` of the window was used up before.
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

/// What this process knows about limits. Cheap to clone.
#[derive(Clone, Default)]
pub struct Limits {
    callers: Arc<Coalesce<Decision>>,
    /// For when Redis is away: by key, when the window is free again.
    own: Arc<Mutex<HashMap<String, Instant>>>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// Callers that are limited in the process at once; beyond, the oldest are forgotten all together.
const MOST_CALLERS: usize = 10_000;

/// The window of a caller is stored as the time at which it will be free. Returns how much was used up before.
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

/// Takes one call out of the caller's budget. Calls of one caller that come together are asked for together.
pub async fn take(app: &App, action: Action, caller: &str) -> Decision {
    let budget = action.budget(app);
    let key = app.redis.keys().rate_limit(action.name(), caller);
    let (asking, asked) = (app.clone(), key.clone());
    let decided = app.limits.callers.join(&key, move |callers| {
        let (app, key) = (asking.clone(), asked.clone());
        async move {
            let calls = u32::try_from(callers).unwrap_or(u32::MAX);
            match used_in_redis(&app, &key, budget, calls).await {
                Ok(used) => budget.decide(used, calls),
                Err(error) => {
                    tracing::debug!(%error, "rate limits without Redis");
                    app.limits.without_redis(action, &key, budget, calls)
                }
            }
        }
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

/// The same as an error, for limits beside that of the request.
///
/// # Errors
/// [`Error::RateLimited`].
pub async fn check(app: &App, action: Action, caller: &str) -> Result<()> {
    let decision = take(app, action, caller).await;
    if decision.allowed {
        return Ok(());
    }
    counters::count(app, "rate_limit_violations");
    Err(Error::RateLimited { retry_after: decision.retry_after })
}

async fn used_in_redis(app: &App, key: &str, budget: Budget, calls: u32) -> redis::RedisResult<Duration> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut take = TAKE.key(key);
    take.arg(micros(budget.window)).arg(micros(budget.interval()).max(1)).arg(calls);
    let used: u64 = app.redis.ask(async |mut redis| take.invoke_async(&mut redis).await).await?;
    Ok(Duration::from_micros(used))
}

impl Limits {
    /// Half the budget for what attackers are after, no limit for the rest.
    fn without_redis(&self, action: Action, key: &str, budget: Budget, calls: u32) -> Vec<Decision> {
        if !action.is_guarded_without_redis() {
            return budget.decide(Duration::ZERO, 1).repeat(calls as usize);
        }
        let budget = Budget { calls: budget.calls.div_ceil(2), ..budget };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if own.len() >= MOST_CALLERS {
            own.retain(|_, free| *free > now);
        }
        if own.len() >= MOST_CALLERS {
            own.clear();
        }
        let used = own.get(key).map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let granted = budget.fitting(used, calls);
        own.insert(key.to_owned(), now + used + budget.interval() * granted);
        budget.decide(used, calls)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN_A_MINUTE: Budget = Budget { calls: 10, window: Duration::from_secs(60) };

    #[test]
    fn a_fresh_caller_has_the_whole_budget_and_then_waits_for_a_share_of_it() {
        let decisions = TEN_A_MINUTE.decide(Duration::ZERO, 12);
        let allowed: Vec<bool> = decisions.iter().map(|decision| decision.allowed).collect();
        assert_eq!(allowed, [[true; 10].as_slice(), &[false; 2]].concat());
        let remaining: Vec<u32> = decisions.iter().map(|decision| decision.remaining).collect();
        assert_eq!(remaining, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]);
        assert_eq!(decisions[0].reset, Duration::from_secs(6));
        assert_eq!(decisions[11].retry_after, Duration::from_secs(6));
    }

    #[test]
    fn budgets_are_read_as_calls_by_seconds() {
        assert_eq!("10/60".parse(), Ok(TEN_A_MINUTE));
        for text in ["", "10", "0/60", "10/0", "-1/60", "10/60/1", "10/86401", "10000001/1", " 10/60"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever the calls, no span of a window's length sees more than the budget and what had been saved up.
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
