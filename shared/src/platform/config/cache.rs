//! What Redis keeps, and for how long.

use std::time::Duration;

use super::{Sources, sources::yes_or_no};

/// Answers and sessions in Redis.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// `CACHE_ENABLED`: without it everything is read from the database.
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
        let is_enabled = from.parse("CACHE_ENABLED", yes_or_no);
        let [users, parking, reservations, reports] =
            ["CACHE_USER_TTL", "CACHE_PARKING_TTL", "CACHE_RESERVATIONS_TTL", "CACHE_DEFAULT_TTL"]
                .map(|name| from.number::<u64>(name, 1..=3600).map(Duration::from_secs));
        Some(Self {
            is_enabled: is_enabled?,
            users: users?,
            parking: parking?,
            reservations: reservations?,
            reports: reports?,
        })
    }
}
