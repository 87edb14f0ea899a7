//! What follows from how a run ended: another try, and when, or an end. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long a claim lasts without renewal: after a worker's death its jobs are free this much later.
pub const LEASE: Duration = Duration::from_secs(3);

/// A lease is renewed this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A job whose lease has run out this many times in a row kills its workers and is given up.
pub const MAX_CRASHES: i64 = 3;

/// Why it was.
pub const POISON: &str = "its worker vanished three times in a row while running it";

const BACKOFF_BASE: Duration = Duration::from_secs(5);
const BACKOFF_CAP: Duration = Duration::from_hours(2);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The work is done.
    Succeeded,
    /// It failed for a reason that may pass: an error, a panic or a timeout.
    Transient,
    /// It will never work.
    Permanent,
    /// Its owner does not want it any more.
    Cancelled,
    /// The worker is shutting down.
    Shutdown,
    /// It has to wait its turn, which comes after so long.
    Busy(Duration),
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ended well.
    Succeed,
    /// Queued again after a pause.
    Retry(Duration),
    /// Queued again at once, and the attempt does not count.
    Release,
    /// Queued again after a pause, and the attempt does not count.
    Postpone(Duration),
    /// Ended in the dead set.
    Fail,
    /// Ended because it was cancelled.
    Cancel,
}

/// What becomes of a job whose `attempt`-th of `max_attempts` runs ended so; `chance` is uniform in 0..1.
#[must_use]
pub fn verdict(ending: Ending, attempt: i64, max_attempts: i64, chance: f64) -> Verdict {
    match ending {
        Ending::Succeeded => Verdict::Succeed,
        Ending::Permanent => Verdict::Fail,
        Ending::Cancelled => Verdict::Cancel,
        Ending::Shutdown => Verdict::Release,
        // Those who wait for the same thing do not come back all at once.
        Ending::Busy(wait) => Verdict::Postpone(in_millis(wait.mul_f64(1.0 + chance.clamp(0.0, 1.0)))),
        Ending::Transient if attempt >= max_attempts => Verdict::Fail,
        Ending::Transient => Verdict::Retry(backoff(attempt, chance)),
    }
}

/// The end of a run, as written into the row.
#[derive(Debug, Clone, Copy)]
pub enum Close<'a> {
    /// With its result as JSON.
    Succeeded(&'a str),
    /// Into the dead set, with the reason.
    Failed(&'a str),
    /// At its owner's wish.
    Cancelled,
    /// Back into the queue for another try at that instant, with the reason.
    Retry(DateTime<Utc>, &'a str),
    /// Back into the queue as if it had not been taken.
    Release,
    /// The same, but not before that instant.
    Postpone(DateTime<Utc>),
}

impl<'a> Close<'a> {
    /// What a verdict writes; `result` is for a success, `reason` for a failure.
    #[must_use]
    pub fn of(verdict: Verdict, now: DateTime<Utc>, result: &'a str, reason: &'a str) -> Self {
        match verdict {
            Verdict::Succeed => Self::Succeeded(result),
            Verdict::Retry(pause) => Self::Retry(now + pause, reason),
            Verdict::Release => Self::Release,
            Verdict::Postpone(pause) => Self::Postpone(now + pause),
            Verdict::Fail => Self::Failed(reason),
            Verdict::Cancel => Self::Cancelled,
        }
    }
}

/// Exponential with full jitter: up to 5 s after the first attempt, 10 s after the second, …, two hours.
#[must_use]
pub fn backoff(attempt: i64, chance: f64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 31) - 1).unwrap_or(0);
    let ceiling = BACKOFF_BASE.saturating_mul(1 << doublings).min(BACKOFF_CAP);
    in_millis(ceiling.mul_f64(chance.clamp(0.0, 1.0)))
}

/// In whole milliseconds, so that both databases keep the instant that it leads to.
fn in_millis(pause: Duration) -> Duration {
    Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let table = [
            (Ending::Succeeded, 1, Verdict::Succeed),
            (Ending::Transient, 1, Verdict::Retry(Duration::from_secs(5))),
            (Ending::Transient, 2, Verdict::Retry(Duration::from_secs(10))),
            (Ending::Transient, 3, Verdict::Fail),
            (Ending::Permanent, 1, Verdict::Fail),
            (Ending::Cancelled, 1, Verdict::Cancel),
            (Ending::Shutdown, 3, Verdict::Release),
            (Ending::Busy(Duration::from_secs(7)), 1, Verdict::Postpone(Duration::from_secs(14))),
            (Ending::Busy(Duration::from_secs(7)), 3, Verdict::Postpone(Duration::from_secs(14))),
        ];
        for (ending, attempt, expected) in table {
            assert_eq!(verdict(ending, attempt, 3, 1.0), expected, "{ending:?} at attempt {attempt}");
        }
    }

    #[test]
    fn who_has_to_wait_comes_back_no_sooner_than_told_and_spread_over_as_long_again() {
        let wait = Duration::from_secs(10);
        assert_eq!(verdict(Ending::Busy(wait), 1, 3, 0.0), Verdict::Postpone(wait));
        assert_eq!(verdict(Ending::Busy(wait), 1, 3, 0.5), Verdict::Postpone(wait + wait / 2));
    }

    #[test]
    fn the_pause_grows_to_two_hours_and_is_spread_over_all_of_it() {
        assert_eq!(backoff(1, 0.0), Duration::ZERO);
        assert_eq!(backoff(4, 0.5), Duration::from_secs(20));
        assert_eq!(backoff(1, 0.123_456_789), Duration::from_millis(617));
        assert_eq!(backoff(40, 1.0), BACKOFF_CAP);
        assert_eq!(backoff(i64::MAX, 1.0), BACKOFF_CAP);
    }
}
