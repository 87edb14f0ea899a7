//! The time, from the system or set by a test.

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use parking_lot::Mutex;

/// A clock. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The clock of the system.
    #[default]
    System,
    /// The clock of the system, moved by this much.
    Offset(TimeDelta),
    /// A clock that moves only by [`Clock::advance`].
    Fixed(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that is stopped at `now`.
    #[must_use]
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self::Fixed(Arc::new(Mutex::new(now)))
    }

    /// The current instant in whole microseconds, the precision of both databases.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system's clock")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Offset(by) => Utc::now() + *by,
            Self::Fixed(now) => *now.lock(),
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// This clock, moved by this much.
    #[must_use]
    pub fn offset(&self, by: TimeDelta) -> Self {
        match self {
            Self::System => Self::Offset(by),
            Self::Offset(before) => Self::Offset(*before + by),
            Self::Fixed(now) => Self::fixed(*now.lock() + by),
        }
    }

    /// Moves a fixed clock; does nothing to the system's.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Fixed(now) = self {
            *now.lock() += by;
        }
    }
}
