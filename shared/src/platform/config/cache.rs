//! Whether and how long answers are cached.

use std::time::Duration;

use super::{parse, sources::Sources};

/// Answers and sessions in Redis.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// `CACHE_ENABLED`; otherwise everything is read from the database.
    pub is_enabled: bool,
    /// `CACHE_USER_TTL`.
    pub users: Duration,
    /// `CACHE_PARKING_TTL`.
    pub parking: Duration,
    /// `CACHE_RESERVATIONS_TTL`.
    pub reservations: Duration,
    /// `CACHE_DEFAULT_TTL`.
    pub reports: Duration,
}

impl Cache {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let mut ttl = |name| from.number(name, 1..=3600).map(Duration::from_secs);
        Some(Self {
            users: ttl("CACHE_USER_TTL")?,
            parking: ttl("CACHE_PARKING_TTL")?,
            reservations: ttl("CACHE_RESERVATIONS_TTL")?,
            reports: ttl("CACHE_DEFAULT_TTL")?,
            is_enabled: from.parse("CACHE_ENABLED", parse::boolean)?,
        })
    }
}
