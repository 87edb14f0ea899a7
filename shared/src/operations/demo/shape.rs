//! The simulated year as rows: pure, and the same rows for the same plan whatever the database.

use std::{ops::Range, str::FromStr};

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{names, traffic};
use crate::parking::rules::state::State;

/// The mail address of the administrator.
pub const ADMIN: &str = "admin@parkade.test";
/// The mail address of the driver with a history, and with the heavy one when asked for.
pub const DRIVER: &str = "driver@parkade.test";

/// Registered drivers a spot.
const DRIVERS_A_SPOT: usize = 5;
/// Spots of the lot that only the heavy user's rows lie on.
const HEAVY_SPOTS: i64 = 50;
/// From one of the heavy user's sessions to his next; each is shorter.
const HEAVY_STEP: i64 = 240;
/// How long before the span the first season tickets begin; the heavy user's sessions are older.
pub(super) const SEASON_DAYS: i64 = 20;

/// What is simulated: the same plan makes the same rows.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Car parks.
    pub lots: usize,
    /// Spots of each.
    pub spots_per_lot: usize,
    /// How far back from `now`.
    pub span: Span,
    /// Any number; another one makes other rows of the same shape.
    pub seed: u64,
    /// Sessions that go on at this instant are active.
    pub now: DateTime<Utc>,
    /// Whose hours and weekdays the traffic follows.
    pub zone: Tz,
    /// Additional completed reservations of the one driver, before the span, on a lot of their own.
    pub heavy: u64,
}

/// How long a time is simulated, to the local midnight before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Since yesterday.
    Day,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

/// How many lots and spots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 1 lot of 50 spots.
    Small,
    /// 20 lots of 300 spots.
    Demo,
    /// 200 lots of 500 spots.
    Large,
}

impl Span {
    /// In days.
    #[must_use]
    pub const fn days(self) -> u32 {
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

impl Size {
    /// Lots, and spots of each.
    #[must_use]
    pub const fn lots_and_spots(self) -> (usize, usize) {
        match self {
            Self::Small => (1, 50),
            Self::Demo => (20, 300),
            Self::Large => (200, 500),
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

/// A row of `lots`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Lot {
    pub(super) id: i64,
    pub(super) location_name: String,
    pub(super) address: String,
    pub(super) pincode: String,
    pub(super) price_minor: i64,
    pub(super) number_of_slots: i64,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// A row of `spots`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Spot {
    pub(super) id: i64,
    pub(super) lot_id: i64,
    pub(super) number: i64,
}

/// A row of `users`.
#[derive(Debug, Clone, Hash)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) role: &'static str,
    pub(super) vehicle_number: Option<String>,
    pub(super) phone_number: Option<String>,
    pub(super) created_at: DateTime<Utc>,
}

/// A row of `reservations`.
#[derive(Debug, Clone, Hash)]
pub(super) struct Reservation {
    pub(super) id: i64,
    pub(super) user_id: i64,
    pub(super) lot_id: i64,
    pub(super) spot_id: i64,
    pub(super) state: State,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) arrived_at: Option<DateTime<Utc>>,
    pub(super) left_at: Option<DateTime<Utc>>,
    pub(super) hourly_rate_minor: i64,
    pub(super) cost_minor: i64,
    pub(super) transaction_id: Option<String>,
    pub(super) payment_method: Option<&'static str>,
    pub(super) created_at: DateTime<Utc>,
}

/// A lot with what the simulation knows of it: its one price change, at `updated_at`, and its one closure.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) lot: Lot,
    pub(super) earlier_price_minor: i64,
    pub(super) closed: Range<i64>,
}

impl Plan {
    /// A plan of one of the usual sizes.
    #[must_use]
    pub fn new(size: Size, span: Span, seed: u64, now: DateTime<Utc>, zone: Tz, heavy: u64) -> Self {
        let (lots, spots_per_lot) = size.lots_and_spots();
        Self { lots, spots_per_lot, span, seed, now, zone, heavy }
    }

    /// About how many rows will be made, for a progress bar.
    #[must_use]
    pub fn expected_rows(&self) -> u64 {
        let spots = (self.lots * self.spots_per_lot) as f64;
        let bookings = spots * traffic::BOOKINGS_A_SPOT_AND_DAY * (f64::from(self.span.days()) + 0.5);
        self.heavy + (spots * (1.0 + DRIVERS_A_SPOT as f64) + bookings) as u64
    }

    /// The local midnight at which the simulation begins.
    pub(super) fn begin(&self) -> DateTime<Utc> {
        let today = self.now.with_timezone(&self.zone).date_naive();
        let midnight = (today - Days::new(self.span.days().into())).and_time(NaiveTime::MIN);
        // Where a clock change skips midnight, the one in UTC does.
        self.zone.from_local_datetime(&midnight).earliest().map_or(midnight.and_utc(), |local| local.to_utc())
    }

    /// The one source of chance; streams with other numbers are independent.
    pub(super) fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    /// The lots, in the order of their ids from 1, without the heavy user's.
    pub(super) fn sites(&self) -> impl Iterator<Item = Site> {
        let (mut rng, begin) = (self.rng(0), self.begin());
        let seconds = (self.now - begin).num_seconds();
        (0..self.lots).map(move |index| {
            let (location_name, address, pincode) = names::place(index, &mut rng);
            let earlier_price_minor = 500 * rng.random_range(4..=16);
            let mut later = |from: f64, to: f64| (seconds as f64 * rng.random_range(from..to)) as i64;
            let (changed, closed) = (later(0.3, 0.7), begin.timestamp() + later(0.1, 0.9));
            let lot = Lot {
                id: index as i64 + 1,
                location_name,
                address,
                pincode,
                price_minor: earlier_price_minor + 500 * rng.random_range(1..=2),
                number_of_slots: self.spots_per_lot as i64,
                version: 2,
                created_at: begin - TimeDelta::days(500),
                updated_at: begin + TimeDelta::seconds(changed),
            };
            Site { lot, earlier_price_minor, closed: closed..closed + (seconds / 30).min(86_400) }
        })
    }

    /// Every lot; the heavy user's comes last.
    pub(super) fn lots(&self) -> impl Iterator<Item = Lot> {
        let began = self.heavy_begin() - TimeDelta::days(30);
        let heavy = (self.heavy > 0).then(|| Lot {
            id: self.lots as i64 + 1,
            location_name: "Courier Yard".to_owned(),
            address: "1, Depot Road, Mumbai".to_owned(),
            pincode: "400099".to_owned(),
            price_minor: 2_000,
            number_of_slots: HEAVY_SPOTS,
            version: 1,
            created_at: began,
            updated_at: began,
        });
        self.sites().map(|site| site.lot).chain(heavy)
    }

    /// Every spot; ids from 1 in the order of lots and numbers.
    pub(super) fn spots(&self) -> impl Iterator<Item = Spot> {
        self.lots()
            .flat_map(|lot| (1..=lot.number_of_slots).map(move |number| (lot.id, number)))
            .zip(1..)
            .map(|((lot_id, number), id)| Spot { id, lot_id, number })
    }

    /// The administrator with id 1, then the drivers of one lot after the other.
    pub(super) fn users(&self) -> impl Iterator<Item = User> {
        let (mut rng, begin) = (self.rng(1), self.begin());
        let admin = User {
            id: 1,
            username: "Demo Admin".to_owned(),
            email: ADMIN.to_owned(),
            role: "admin",
            vehicle_number: None,
            phone_number: None,
            created_at: begin - TimeDelta::days(500),
        };
        let drivers = (2..).take(self.lots * self.drivers_a_lot()).map(move |id| {
            let (username, email) = names::person(id, &mut rng);
            let plate = names::plate(id, &mut rng);
            let known_for = TimeDelta::seconds(rng.random_range(60 * 86_400..400 * 86_400));
            let driver = User {
                id,
                username,
                email,
                role: "user",
                vehicle_number: Some(plate),
                phone_number: Some(names::phone(id)),
                created_at: begin - known_for,
            };
            if id != self.driver_id() {
                return driver;
            }
            let (username, email) = ("Demo Driver".to_owned(), DRIVER.to_owned());
            User { username, email, created_at: self.heavy_begin() - TimeDelta::days(30), ..driver }
        });
        std::iter::once(admin).chain(drivers)
    }

    pub(super) const fn drivers_a_lot(&self) -> usize {
        self.spots_per_lot * DRIVERS_A_SPOT
    }

    /// Of [`DRIVER`]: somebody who comes a few times a week, and to the first lot.
    pub(super) const fn driver_id(&self) -> i64 {
        2 + self.drivers_a_lot() as i64 / 30
    }

    /// Every reservation in the order of `starts_at`, with ids from 1; an hour of them is in memory at a time.
    pub(super) fn reservations(&self) -> impl Iterator<Item = Reservation> {
        self.heavy_rows().chain(traffic::rows(self)).zip(1..).map(|(row, id)| Reservation { id, ..row })
    }

    fn heavy_begin(&self) -> DateTime<Utc> {
        let end = self.begin() - TimeDelta::days(SEASON_DAYS);
        end - TimeDelta::seconds(HEAVY_STEP * self.heavy.cast_signed())
    }

    /// Short stays, one after the other, that end where the first season tickets begin.
    fn heavy_rows(&self) -> impl Iterator<Item = Reservation> {
        let (mut rng, first, user_id) = (self.rng(2), self.heavy_begin(), self.driver_id());
        let (lot_id, spots) = (self.lots as i64 + 1, (self.lots * self.spots_per_lot) as i64);
        (0..self.heavy.cast_signed()).map(move |n| {
            let starts_at = first + TimeDelta::seconds(n * HEAVY_STEP);
            let left_at = starts_at + TimeDelta::seconds(rng.random_range(60..HEAVY_STEP));
            let row = Reservation {
                id: 0,
                user_id,
                lot_id,
                spot_id: spots + 1 + n % HEAVY_SPOTS,
                state: State::Active,
                starts_at,
                ends_at: None,
                arrived_at: Some(starts_at),
                left_at: None,
                hourly_rate_minor: 2_000,
                cost_minor: 0,
                transaction_id: None,
                payment_method: None,
                created_at: starts_at,
            };
            row.complete(left_at, &mut rng)
        })
    }
}
