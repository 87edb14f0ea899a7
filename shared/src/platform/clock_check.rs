//! Whether this machine's clock can be trusted: a clock that jumps by days would expire reservations, and run schedules that
//! are not due.

use std::{fmt, sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{db::Db, redis::Redis};
use crate::base::clock::Clock;

/// Clocks that differ by more disagree.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// How long a comparison is believed, if the clock does not jump meanwhile.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(10);

/// By how much the clocks of the servers are ahead of ours. `None` for one that cannot be asked; a SQLite file has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The clock of PostgreSQL.
    pub database: Option<TimeDelta>,
    /// The clock of Redis.
    pub redis: Option<TimeDelta>,
}

/// A clock that is wrong, and by how much it is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongClock {
    /// That of this machine, also if the two others disagree with each other.
    Own(TimeDelta),
    /// That of PostgreSQL.
    Database(TimeDelta),
    /// That of Redis.
    Redis(TimeDelta),
}

impl fmt::Display for WrongClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, ahead) = match self {
            Self::Own(ahead) => ("this machine", ahead),
            Self::Database(ahead) => ("PostgreSQL", ahead),
            Self::Redis(ahead) => ("Redis", ahead),
        };
        let direction = if *ahead > TimeDelta::zero() { "ahead" } else { "behind" };
        write!(f, "the clock of {whose} is {} s {direction}", ahead.num_seconds().abs())
    }
}

impl Offsets {
    /// Asks both servers.
    pub async fn measure(db: &Db, redis: &Redis, clock: &Clock) -> Self {
        if matches!(clock, Clock::Fixed(_)) {
            return Self::default();
        }
        let database = async {
            let asked = clock.now();
            let time = db.server_time().await.ok().flatten()?;
            Some(offset(asked, time, clock.now()))
        };
        let from_redis = async {
            let asked = clock.now();
            let time = redis.time().await.ok()?;
            Some(offset(asked, time, clock.now()))
        };
        let (database, redis) = tokio::join!(database, from_redis);
        Self { database, redis }
    }

    /// The clock that is wrong: the one that differs from the two others, or ours if there is only one other.
    #[must_use]
    pub fn wrong(self) -> Option<WrongClock> {
        let differs = |offset: TimeDelta| offset.abs() > TOLERANCE;
        match (self.database, self.redis) {
            (Some(database), Some(redis)) => match (differs(database), differs(redis)) {
                (false, false) => None,
                (true, false) => Some(WrongClock::Database(database)),
                (false, true) => Some(WrongClock::Redis(redis)),
                (true, true) => Some(WrongClock::Own(-database)),
            },
            (Some(only), None) | (None, Some(only)) => differs(only).then_some(WrongClock::Own(-only)),
            (None, None) => None,
        }
    }
}

/// How far `time`, read between two readings of our clock, is ahead of them.
fn offset(asked: DateTime<Utc>, time: DateTime<Utc>, answered: DateTime<Utc>) -> TimeDelta {
    time - (asked + (answered - asked) / 2)
}

/// Remembers whether our clock agreed with the others. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ClockGuard(Arc<Mutex<Option<Checked>>>);

#[derive(Debug, Clone, Copy)]
struct Checked {
    at: Instant,
    /// What our clock said then.
    now: DateTime<Utc>,
    wrong: Option<TimeDelta>,
}

impl Checked {
    /// Whether the result holds still: it is not old, and our clock has moved as much as time has passed.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        let passed = self.at.elapsed();
        let moved = now - self.now;
        let jump = TimeDelta::from_std(passed).map(|passed| (moved - passed).abs());
        self.wrong.is_none() && passed < LIFETIME && jump.is_ok_and(|jump| jump <= TOLERANCE)
    }
}

impl ClockGuard {
    /// By how much our clock is ahead if it is wrong. Asks the servers every ten seconds, at once after a jump, and each time
    /// while it is wrong.
    pub async fn check(&self, db: &Db, redis: &Redis, clock: &Clock) -> Option<TimeDelta> {
        let (now, before) = (clock.now(), *self.0.lock());
        if before.is_some_and(|checked| checked.holds(now)) {
            return None;
        }
        let before = before.and_then(|checked| checked.wrong);
        let offsets = Offsets::measure(db, redis, clock).await;
        let wrong = match offsets.wrong() {
            Some(WrongClock::Own(ahead)) => Some(ahead),
            // No server could be asked, so nothing is known anew.
            None if offsets == Offsets::default() => before,
            _ => None,
        };
        *self.0.lock() = Some(Checked { at: Instant::now(), now, wrong });
        match (before, wrong) {
            (None, Some(ahead)) => tracing::error!(
                "{}; no jobs, schedules or maintenance run until it is right",
                WrongClock::Own(ahead)
            ),
            (Some(_), None) => tracing::info!("the clock of this machine is right again"),
            _ => {}
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(database: Option<i64>, redis: Option<i64>) -> Option<WrongClock> {
        let seconds = |seconds: Option<i64>| seconds.map(TimeDelta::seconds);
        Offsets { database: seconds(database), redis: seconds(redis) }.wrong()
    }

    #[test]
    fn the_clock_that_two_others_contradict_is_wrong() {
        use WrongClock::{Database, Own, Redis};
        let s = TimeDelta::seconds;
        for (database, redis, expected) in [
            (None, None, None),
            (Some(60), Some(-60), None),
            (None, Some(59), None),
            (Some(61), None, Some(Own(s(-61)))),
            (None, Some(-3_456_000), Some(Own(s(3_456_000)))),
            (Some(-3_456_000), Some(-3_456_001), Some(Own(s(3_456_000)))),
            (Some(90), Some(0), Some(Database(s(90)))),
            (Some(1), Some(-90), Some(Redis(s(-90)))),
            (Some(-500), Some(500), Some(Own(s(500)))),
        ] {
            assert_eq!(wrong(database, redis), expected, "{database:?} {redis:?}");
        }
        assert_eq!(Own(s(-61)).to_string(), "the clock of this machine is 61 s behind");
    }

    #[test]
    fn a_jump_of_the_clock_ends_the_trust_in_it() {
        let now = Clock::System.now();
        let checked = Checked { at: Instant::now(), now, wrong: None };
        assert!(checked.holds(now + TimeDelta::seconds(59)));
        assert!(!checked.holds(now + TimeDelta::days(40)));
        assert!(!checked.holds(now - TimeDelta::seconds(61)));
        assert!(!Checked { wrong: Some(TimeDelta::days(40)), ..checked }.holds(now));
    }
}
