//! How long leases last, and how long failed and postponed jobs wait before the next run. Pure.

use std::time::Duration;

/// How long a claim lasts without renewal. The jobs of a dead worker are free again after this time.
pub const LEASE: Duration = Duration::from_secs(3);

/// How often a running job's lease is renewed.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// A job whose lease has expired this many times in a row kills its workers and is not run again.
pub const MAX_CRASHES: i64 = 3;

/// The recorded error of such a job.
pub const POISON: &str = "its worker vanished three times in a row while running it";

/// How often a job fails on an unexpected error before it is dead, even if its kind allows more attempts.
pub const MAX_UNEXPECTED: i64 = 10;

/// Attempts at a mail that its server rejects for now: over four to five days (RFC 5321, 4.5.4.1).
pub const MAIL_ATTEMPTS: i64 = 37;

/// The first pauses between such attempts, in minutes. Greylisting ends after a few; later ones are the last of these.
const DEFERRALS: [f64; 8] = [0.25, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0];

/// How long a held job sleeps unless it is released, so that none is forgotten.
pub const HOLD: Duration = Duration::from_hours(1);

const BACKOFF_BASE: Duration = Duration::from_secs(5);
const BACKOFF_CAP: Duration = Duration::from_hours(2);

/// The pause after a failed attempt: exponential with full jitter, at most 5 s after the first attempt, 10 s after
/// the second, and so on up to two hours. `jitter` is uniform in 0..1.
#[must_use]
pub fn backoff(attempt: i64, jitter: f64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 31) - 1).unwrap_or(0);
    let ceiling = BACKOFF_BASE.saturating_mul(1 << doublings).min(BACKOFF_CAP);
    whole_millis(ceiling.mul_f64(jitter.clamp(0.0, 1.0)))
}

/// The pause after a mail was rejected for now: from seconds to four hours, of which `jitter` takes up to a fifth.
#[must_use]
pub fn deferral(attempt: i64, jitter: f64) -> Duration {
    let nth = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX).min(DEFERRALS.len() - 1);
    let minutes = DEFERRALS.get(nth).copied().unwrap_or_default();
    whole_millis(Duration::from_secs_f64(60.0 * minutes * (1.0 - 0.2 * jitter.clamp(0.0, 1.0))))
}

/// The pause of a postponed job: spread over as long again, so that jobs waiting for the same resource do
/// not all return at once. `jitter` is uniform in 0..1.
#[must_use]
pub fn postponement(wait: Duration, jitter: f64) -> Duration {
    whole_millis(wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0)))
}

/// Both databases store whole milliseconds exactly.
fn whole_millis(pause: Duration) -> Duration {
    Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_two_hours_with_full_jitter() {
        assert_eq!(backoff(1, 0.0), Duration::ZERO);
        assert_eq!(backoff(2, 1.0), Duration::from_secs(10));
        assert_eq!(backoff(4, 0.5), Duration::from_secs(20));
        assert_eq!(backoff(1, 0.123_456_789), Duration::from_millis(617));
        assert_eq!(backoff(40, 1.0), BACKOFF_CAP);
        assert_eq!(backoff(i64::MAX, 1.0), BACKOFF_CAP);
    }

    #[test]
    fn deferred_mails_are_tried_for_four_to_five_days() {
        let total = |jitter| (1..MAIL_ATTEMPTS).map(|attempt| deferral(attempt, jitter)).sum::<Duration>();
        let days = |days: u64| Duration::from_hours(24 * days);
        assert!(total(1.0) > days(4) - Duration::from_hours(1) && total(0.0) < days(5), "{:?}", total(0.0));
        assert!((1..40).all(|attempt| deferral(attempt, 0.5) <= deferral(attempt + 1, 0.5)), "pauses grow");
        assert_eq!((deferral(1, 0.0), deferral(4, 0.0)), (Duration::from_secs(15), Duration::from_mins(15)));
        assert_eq!(
            (deferral(8, 0.0), deferral(i64::MAX, 0.0)),
            (Duration::from_hours(4), Duration::from_hours(4))
        );
    }

    #[test]
    fn postponement_lasts_between_once_and_twice_the_wait() {
        let wait = Duration::from_secs(10);
        assert_eq!(postponement(wait, 0.0), wait);
        assert_eq!(postponement(wait, 0.5), wait + wait / 2);
        assert_eq!(postponement(wait, 1.0), wait * 2);
    }
}
