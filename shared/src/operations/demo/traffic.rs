//! Reservations of a plan: arrivals, stays and no-shows in every lot, hour by hour.

use std::{cmp::Reverse, collections::BinaryHeap};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};

use super::{
    arrivals::{Fate, expected_bookings},
    plan::{HEAVY_STEP, Plan, SEASON_DAYS},
    population::HEAVY_SPOTS,
    rows::{Reservation, Site},
};
use crate::parking::rules::state::State;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Share of sessions that nobody ends for two to six days.
const FORGOTTEN: f64 = 0.005;
/// Share of spots taken by season tickets day and night. With forgotten sessions, a quarter of all spots.
const SEASON: f64 = 0.227;
/// A reservation expires if its driver has not arrived this long after its start.
const GRACE: i64 = 30 * MINUTE;
/// The driver at rank k visits in proportion to k to the power of minus this (Zipf's law).
const ZIPF: f64 = 0.6;
/// The end of a session that is still running, or of a reservation in the future.
const OPEN: i64 = i64::MAX;

impl Plan {
    /// Every reservation in the order of `starts_at`, with ids from 1. Only one simulated hour is in memory at a time.
    pub(super) fn reservations(&self) -> impl Iterator<Item = Reservation> {
        self.heavy_history().chain(self.traffic()).zip(1..).map(|(row, id)| Reservation { id, ..row })
    }

    /// Short consecutive sessions that end where the first season tickets begin.
    fn heavy_history(&self) -> impl Iterator<Item = Reservation> {
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

    /// The simulated span, and reservations already made for the coming day.
    fn traffic(&self) -> impl Iterator<Item = Reservation> {
        let (begin, end, zone) = (self.begin().timestamp(), self.now.timestamp() + DAY, self.zone);
        let mut lots: Vec<Lot> = self.sites().map(|site| Lot::new(self, site)).collect();
        (begin..end).step_by(HOUR as usize).flat_map(move |hour| {
            let local = instant(hour).with_timezone(&zone);
            let mut rows = Vec::new();
            for lot in &mut lots {
                lot.season_tickets(hour + HOUR, &mut rows);
                lot.hour(hour, local, &mut rows);
            }
            rows.sort_by_key(|row| row.starts_at);
            rows
        })
    }
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// The planned length of a stay in seconds: a mixture of errands, visits, working days and journeys (assumed).
fn stay(rng: &mut ChaCha8Rng) -> i64 {
    let z: f64 = rng.sample(StandardNormal);
    let minutes = match rng.random::<f64>() {
        ..0.58 => 70.0 * (0.65 * z).exp(),
        ..0.86 => 180.0 * (0.45 * z).exp(),
        ..0.99 => 510.0 + 75.0 * z,
        _ => 1_800.0 * (0.6 * z).exp(),
    };
    ((minutes * 60.0) as i64).max(MINUTE)
}

/// The state of one lot during the simulation. Times are seconds since 1970.
struct Lot {
    rng: ChaCha8Rng,
    site: Site,
    now: i64,
    free: Vec<i64>,
    /// When each taken spot becomes free, soonest first.
    leaving: BinaryHeap<Reverse<(i64, i64)>>,
    /// The user id at rank 0.
    first_user: i64,
    /// When the last reservation of the user at each rank ends.
    busy_until: Vec<i64>,
    driver_id: i64,
    /// Spot, user and next arrival of each season ticket.
    tickets: Vec<(i64, i64, i64)>,
}

impl Lot {
    fn new(plan: &Plan, site: Site) -> Self {
        let index = site.lot.id - 1;
        let mut rng = plan.rng(100 + index.unsigned_abs());
        let (spots, drivers) = (plan.spots_per_lot as i64, plan.drivers_per_lot() as i64);
        let (first_spot, first_user) = (1 + index * spots, 2 + index * drivers);
        let season = (spots as f64 * SEASON).round() as i64;
        let begin = plan.begin().timestamp();
        let tickets = (0..season)
            .map(|n| {
                (first_spot + n, first_user + drivers - 1 - n, begin - rng.random_range(0..SEASON_DAYS * DAY))
            })
            .collect();
        Self {
            rng,
            now: plan.now.timestamp(),
            free: (first_spot + season..first_spot + spots).collect(),
            leaving: BinaryHeap::new(),
            first_user,
            busy_until: vec![i64::MIN; (drivers - season) as usize],
            driver_id: plan.driver_id(),
            tickets,
            site,
        }
    }

    /// Adds the stays of season ticket holders that begin before `until`: weeks on one spot with short drives in between.
    fn season_tickets(&mut self, until: i64, rows: &mut Vec<Reservation>) {
        for n in 0..self.tickets.len() {
            while self.tickets[n].2 < until && self.tickets[n].2 <= self.now {
                let (spot, user, arrives) = self.tickets[n];
                let leaves = arrives + self.rng.random_range(10 * DAY..40 * DAY);
                self.tickets[n].2 = leaves + self.rng.random_range(10 * MINUTE..3 * HOUR);
                let row = self.row(user, spot, arrives, arrives);
                rows.push(self.park(row, arrives, leaves));
            }
        }
    }

    /// Adds the bookings for the hour that begins at `from`, as a Poisson process.
    fn hour(&mut self, from: i64, local: DateTime<Tz>, rows: &mut Vec<Reservation>) {
        let bookings = expected_bookings(local, self.site.lot.number_of_slots);
        let mut hours = 0.0;
        loop {
            hours += self.rng.sample::<f64, _>(Exp1) / bookings;
            if hours >= 1.0 {
                return;
            }
            let at = from + (hours * HOUR as f64) as i64;
            if !self.site.closed.contains(&at) {
                rows.extend(self.book(at));
            }
        }
    }

    /// Makes a booking for `starts`. `None` if the lot is full, or if it would be made after `now`.
    fn book(&mut self, starts: i64) -> Option<Reservation> {
        let rng = &mut self.rng;
        let fate = Fate::draw(rng);
        let planned = stay(rng);
        let half_hours = (planned as f64 * rng.random_range(0.85..1.5) / (30 * MINUTE) as f64).ceil();
        let ends = starts + half_hours as i64 * 30 * MINUTE;
        let lead = 30 * MINUTE + (rng.sample::<f64, _>(Exp1) * 5.0 * HOUR as f64) as i64;
        let forgotten = rng.random_bool(FORGOTTEN);
        let stays = if forgotten { rng.random_range(2 * DAY..6 * DAY) } else { planned };
        let (created, arrives) = match fate {
            Fate::WalkIn => (starts, starts),
            _ => (starts - lead, starts + rng.random_range(0..12 * MINUTE)),
        };
        if created > self.now {
            return None;
        }
        let (parks, leaves) = (matches!(fate, Fate::BookedAhead | Fate::WalkIn), arrives + stays);
        let held_until = match fate {
            Fate::Cancelled if starts <= self.now => ends,
            Fate::NoShow if starts + GRACE <= self.now => ends,
            _ if parks && leaves <= self.now => leaves,
            _ => OPEN,
        };
        let spot = self.take_spot(starts, held_until)?;
        let user = self.take_user(starts, held_until)?;
        let row = self.row(user, spot, starts, created);
        let row = Reservation { ends_at: (fate != Fate::WalkIn).then(|| instant(ends)), ..row };
        Some(match fate {
            _ if parks && arrives <= self.now => self.park(row, arrives, leaves),
            _ if held_until == OPEN => row,
            Fate::Cancelled => Reservation { state: State::Cancelled, ..row },
            _ => Reservation { state: State::Expired, ..row },
        })
    }

    fn take_spot(&mut self, at: i64, until: i64) -> Option<i64> {
        while let Some(&Reverse((left, spot))) = self.leaving.peek()
            && left <= at
        {
            self.leaving.pop();
            self.free.push(spot);
        }
        if self.free.is_empty() {
            return None;
        }
        let spot = self.free.swap_remove(self.rng.random_range(0..self.free.len()));
        self.leaving.push(Reverse((until, spot)));
        Some(spot)
    }

    /// Draws a user without a reservation at that time, after eight attempts the next one in rank. There are more drivers
    /// than spots. The demo's own driver has nothing open, so that visitors can book.
    fn take_user(&mut self, at: i64, until: i64) -> Option<i64> {
        let users = self.busy_until.len();
        let power = 1.0 - ZIPF;
        let range = (users as f64 + 1.0).powf(power) - 1.0;
        let mut rank = 0;
        for attempt in 0..users {
            // The inverse of Zipf's distribution function for continuous ranks.
            rank = match attempt {
                ..8 => (1.0 + self.rng.random::<f64>() * range).powf(power.recip()) as usize - 1,
                _ => rank + 1,
            } % users;
            let user = self.first_user + rank as i64;
            if self.busy_until[rank] <= at && !(user == self.driver_id && until == OPEN) {
                self.busy_until[rank] = until;
                return Some(user);
            }
        }
        None
    }

    /// A reservation before its driver arrives, at the rate valid when it was made.
    fn row(&self, user_id: i64, spot_id: i64, starts: i64, created: i64) -> Reservation {
        let lot = &self.site.lot;
        let changed = instant(created) >= lot.updated_at;
        Reservation {
            id: 0,
            user_id,
            lot_id: lot.id,
            spot_id,
            state: State::Reserved,
            starts_at: instant(starts),
            ends_at: None,
            arrived_at: None,
            left_at: None,
            hourly_rate_minor: if changed { lot.price_minor } else { self.site.earlier_price_minor },
            cost_minor: 0,
            transaction_id: None,
            payment_method: None,
            created_at: instant(created),
        }
    }

    fn park(&mut self, row: Reservation, arrives: i64, leaves: i64) -> Reservation {
        let row = Reservation { state: State::Active, arrived_at: Some(instant(arrives)), ..row };
        if leaves > self.now { row } else { row.complete(instant(leaves), &mut self.rng) }
    }
}
