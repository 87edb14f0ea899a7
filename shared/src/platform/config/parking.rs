//! How spots are shared: protected windows, arrivals and what one driver may hold.

use chrono::{DateTime, TimeDelta, Utc};

use super::sources::Sources;

/// The rules of parking that operators may set.
#[derive(Debug, Clone)]
pub struct Parking {
    /// `RESERVATION_MAX_HOURS`: the longest window.
    pub max_length: TimeDelta,
    /// `RESERVATION_NO_SHOW_MINUTES`: a window expires this long after its start unless the driver has arrived.
    pub no_show_after: TimeDelta,
    /// `WALK_IN_PROTECTION_MINUTES`: walk-ins leave a spot to a window that begins within this time.
    pub protection: TimeDelta,
    /// `TYPICAL_STAY_MINUTES`: a walk-in is expected to leave this long after the arrival.
    pub typical_stay: TimeDelta,
    /// `EARLY_ARRIVAL_MINUTES`: a driver may arrive this long before the window.
    pub early_arrival: TimeDelta,
    /// What one driver may hold.
    pub fair_use: FairUse,
}

/// Limits for each driver; administrators are exempt. None of them is ever zero.
#[derive(Debug, Clone)]
pub struct FairUse {
    /// `MAX_OPEN_RESERVATIONS`: windows that have not ended and whose driver has not arrived.
    pub open: u32,
    /// `MAX_OVERLAPPING_RESERVATIONS`: windows that overlap in time.
    pub overlapping: u32,
    /// `MAX_DAYS_AHEAD`: how far ahead a window may begin.
    pub ahead: TimeDelta,
    /// `MAX_NO_SHOWS`: after so many within [`NO_SHOW_MEMORY`], no new windows.
    pub no_shows: u32,
    /// `MAX_CONFIRMATIONS_PER_HOUR`: confirmation mails to a driver.
    pub confirmations: u32,
    /// `MAX_SMS_PER_DAY`: text messages to a driver.
    pub sms: u32,
}

/// A no-show counts against its driver for this long.
pub const NO_SHOW_MEMORY: TimeDelta = TimeDelta::days(30);

impl Parking {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let minutes = |from: &mut Sources, name, range| from.number(name, range).map(TimeDelta::minutes);
        Some(Self {
            max_length: from.number("RESERVATION_MAX_HOURS", 1..=8760).map(TimeDelta::hours)?,
            no_show_after: minutes(from, "RESERVATION_NO_SHOW_MINUTES", 1..=1440)?,
            protection: minutes(from, "WALK_IN_PROTECTION_MINUTES", 0..=1440)?,
            typical_stay: minutes(from, "TYPICAL_STAY_MINUTES", 1..=10_080)?,
            early_arrival: minutes(from, "EARLY_ARRIVAL_MINUTES", 0..=1440)?,
            fair_use: FairUse {
                open: from.number("MAX_OPEN_RESERVATIONS", 1..=1000)?,
                overlapping: from.number("MAX_OVERLAPPING_RESERVATIONS", 1..=1000)?,
                ahead: from.number("MAX_DAYS_AHEAD", 1..=365).map(TimeDelta::days)?,
                no_shows: from.number("MAX_NO_SHOWS", 1..=1000)?,
                confirmations: from.number("MAX_CONFIRMATIONS_PER_HOUR", 1..=100_000)?,
                sms: from.number("MAX_SMS_PER_DAY", 1..=100_000)?,
            },
        })
    }

    /// A window that begins before this time keeps its spot from walk-ins.
    #[must_use]
    pub fn protected_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.protection
    }
}
