//! What is simulated. Pure: the same plan makes the same rows in any database.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::arrivals::BOOKINGS_PER_SPOT_AND_DAY;

/// The mail address of the demo's administrator.
pub const ADMIN: &str = "admin@parkade.test";
/// The mail address of the demo's driver, who also gets the heavy history if the plan has one.
pub const DRIVER: &str = "driver@parkade.test";

const DRIVERS_PER_SPOT: usize = 5;
/// Seconds from one session of the heavy history to the next.
pub(super) const HEAVY_STEP: i64 = 240;
/// Days before the span at which the first season tickets begin. The heavy history ends there.
pub(super) const SEASON_DAYS: i64 = 20;

/// The size, time and random seed of a simulation.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of lots.
    pub lots: usize,
    /// The number of spots of each lot.
    pub spots_per_lot: usize,
    /// How far back from `now` the simulation begins.
    pub span: Span,
    /// Another seed makes different rows with the same statistics.
    pub seed: u64,
    /// Sessions still running at this time are active.
    pub now: DateTime<Utc>,
    /// The time zone whose hours and weekdays the traffic follows.
    pub zone: Tz,
    /// Additional completed reservations of one driver before the span, on a lot of their own.
    pub heavy: u64,
}

/// How much time is simulated; it begins at a local midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Since yesterday.
    Day,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

/// How many lots and spots are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 1 lot with 50 spots.
    Small,
    /// 20 lots with 300 spots each.
    Demo,
    /// 200 lots with 500 spots each.
    Large,
}

impl Span {
    const fn days(self) -> u32 {
        match self {
            Self::Day => 1,
            Self::Month => 30,
            Self::Year => 365,
        }
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            "year" => Ok(Self::Year),
            _ => Err("must be day, month or year"),
        }
    }
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "small" => Ok(Self::Small),
            "demo" => Ok(Self::Demo),
            "large" => Ok(Self::Large),
            _ => Err("must be small, demo or large"),
        }
    }
}

impl Plan {
    /// A plan of one of the usual sizes.
    #[must_use]
    pub fn new(size: Size, span: Span, seed: u64, now: DateTime<Utc>, zone: Tz, heavy: u64) -> Self {
        let (lots, spots_per_lot) = match size {
            Size::Small => (1, 50),
            Size::Demo => (20, 300),
            Size::Large => (200, 500),
        };
        Self { lots, spots_per_lot, span, seed, now, zone, heavy }
    }

    /// Estimates how many rows the plan makes, for a progress bar.
    #[must_use]
    pub fn expected_rows(&self) -> u64 {
        let spots = (self.lots * self.spots_per_lot) as f64;
        let bookings = spots * BOOKINGS_PER_SPOT_AND_DAY * (f64::from(self.span.days()) + 0.5);
        self.heavy + (spots * (1.0 + DRIVERS_PER_SPOT as f64) + bookings) as u64
    }

    /// The local midnight at which the simulation begins.
    pub(super) fn begin(&self) -> DateTime<Utc> {
        let today = self.now.with_timezone(&self.zone).date_naive();
        let midnight = (today - Days::new(self.span.days().into())).and_time(NaiveTime::MIN);
        // Where a clock change skips midnight, the one in UTC does.
        self.zone.from_local_datetime(&midnight).earliest().map_or(midnight.and_utc(), |local| local.to_utc())
    }

    /// The start of the first session of the heavy history.
    pub(super) fn heavy_begin(&self) -> DateTime<Utc> {
        let end = self.begin() - TimeDelta::days(SEASON_DAYS);
        end - TimeDelta::seconds(HEAVY_STEP * self.heavy.cast_signed())
    }

    /// A random number generator. Different streams are independent.
    pub(super) fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    pub(super) const fn drivers_per_lot(&self) -> usize {
        self.spots_per_lot * DRIVERS_PER_SPOT
    }

    /// The user id of [`DRIVER`], who comes to the first lot a few times a week.
    pub(super) const fn driver_id(&self) -> i64 {
        2 + self.drivers_per_lot() as i64 / 30
    }
}
