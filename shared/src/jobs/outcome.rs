//! How a run of a job ended, and what becomes of the job. Pure.

use chrono::{DateTime, Utc};

use super::{job::Done, policy, state::JobState};
use crate::base::error::{Error, Result};

/// The end of one run. It decides what the ledger records, what readers of the status see and what metrics count.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done; the jobs that follow are enqueued with the success.
    Succeeded(Done),
    /// Failed for good.
    Failed(String),
    /// Failed, and queued for another attempt.
    Retry {
        /// The earliest time of the next attempt.
        run_at: DateTime<Utc>,
        /// Why this attempt failed.
        error: String,
    },
    /// Has to wait, for example for a rate limit. The attempt does not count.
    Postponed {
        /// The earliest time of the next attempt.
        run_at: DateTime<Utc>,
    },
    /// Waits until another system is back. The attempt does not count.
    Held {
        /// The latest time of the next attempt.
        run_at: DateTime<Utc>,
        /// What it waits for.
        error: String,
    },
    /// Interrupted because the worker is shutting down, and queued at once. The attempt does not count.
    Released,
    /// Stopped at the request of its owner or an operator.
    Cancelled,
    /// Another worker has claimed the job: this run may not record anything.
    LeaseLost,
}

impl Outcome {
    /// The outcome of the run that returned `result`, the job's `attempt`-th of at most `max_attempts`. `jitter` is
    /// uniform in 0..1.
    #[must_use]
    pub fn of(
        result: Result<Done>,
        (attempt, max_attempts): (i64, i64),
        now: DateTime<Utc>,
        jitter: f64,
    ) -> Self {
        match result {
            Ok(done) => Self::Succeeded(done),
            Err(Error::RateLimited { retry_after }) => {
                Self::Postponed { run_at: now + policy::postponement(retry_after, jitter) }
            }
            Err(Error::Held(error)) => {
                // Without jitter: the longest held job is released first.
                Self::Held { run_at: now + policy::HOLD, error }
            }
            Err(Error::Deferred(error)) if attempt < max_attempts.max(policy::MAIL_ATTEMPTS) => {
                Self::Retry { run_at: now + policy::deferral(attempt, jitter), error }
            }
            Err(error) if error.is_transient() && attempt < limit(&error, max_attempts) => {
                Self::Retry { run_at: now + policy::backoff(attempt, jitter), error: error.chain() }
            }
            Err(error) => Self::Failed(error.chain()),
        }
    }

    /// Whether the attempt does not count.
    #[must_use]
    pub const fn is_refunded(&self) -> bool {
        matches!(self, Self::Released | Self::Postponed { .. } | Self::Held { .. })
    }

    /// The state that the job is in afterwards, unless a cancellation was requested meanwhile. `None` if another
    /// worker decides.
    #[must_use]
    pub const fn state(&self) -> Option<JobState> {
        match self {
            Self::Succeeded(_) => Some(JobState::Succeeded),
            Self::Failed(_) => Some(JobState::Failed),
            Self::Retry { .. } | Self::Postponed { .. } | Self::Held { .. } | Self::Released => {
                Some(JobState::Queued)
            }
            Self::Cancelled => Some(JobState::Cancelled),
            Self::LeaseLost => None,
        }
    }

    /// Why the run failed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) | Self::Retry { error, .. } | Self::Held { error, .. } => Some(error),
            _ => None,
        }
    }

    /// The value of the label `outcome` in metrics and of `job.outcome` in traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Retry { .. } => "retried",
            Self::Postponed { .. } => "postponed",
            Self::Held { .. } => "held",
            Self::Released => "released",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease_lost",
        }
    }
}

/// After how many attempts a job that failed with this error is dead.
fn limit(error: &Error, max_attempts: i64) -> i64 {
    match error {
        Error::Deferred(_) => 0,
        Error::Internal(_) => max_attempts.min(policy::MAX_UNEXPECTED),
        _ => max_attempts,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_error_and_the_attempt_decide_about_a_retry() {
        let now: DateTime<Utc> = "2026-11-24T12:30:00Z".parse().unwrap();
        let busy = || Error::RateLimited { retry_after: Duration::from_secs(7) };
        let failed = |error: &Error| Outcome::Failed(error.chain());
        let retry = |seconds, error: &Error| Outcome::Retry {
            run_at: now + Duration::from_secs(seconds),
            error: error.chain(),
        };
        let (never, away) = (Error::Permanent("never".into()), Error::Unavailable(anyhow!("away")));
        let (bug, postponed) =
            (Error::Internal(anyhow!("a bug")), Outcome::Postponed { run_at: now + Duration::from_secs(14) });
        let table = [
            (never.duplicate(), 1, failed(&never)),
            (away.duplicate(), 1, retry(5, &away)),
            (bug.duplicate(), 2, retry(10, &bug)),
            (away.duplicate(), 3, failed(&away)),
            (busy(), 1, postponed.clone()),
            (busy(), 3, postponed),
        ];
        for (error, attempt, expected) in table {
            let what = format!("{error:?} at attempt {attempt}");
            assert_eq!(Outcome::of(Err(error), (attempt, 3), now, 1.0), expected, "{what}");
        }
        let deferred = || Err(Error::Deferred("greylisted".into()));
        let last = policy::MAIL_ATTEMPTS;
        let pause = Duration::from_mins(12);
        let expected = Outcome::Retry { run_at: now + pause, error: "greylisted".into() };
        assert_eq!(Outcome::of(deferred(), (4, 3), now, 1.0), expected, "a mail is tried for days");
        assert_eq!(Outcome::of(deferred(), (last, last), now, 1.0), Outcome::Failed("greylisted".into()));
        let held = Outcome::of(Err(Error::Held("away".into())), (99, 3), now, 0.0);
        assert_eq!(held, Outcome::Held { run_at: now + policy::HOLD, error: "away".into() });
        assert!(held.is_refunded());
        assert_eq!(Outcome::of(Err(bug.duplicate()), (10, 37), now, 1.0), failed(&bug), "a bug shows soon");
        assert_eq!(Outcome::of(Ok(Done::default()), (3, 3), now, 1.0), Outcome::Succeeded(Done::default()));
    }
}
