//! Who parks where and when: arrivals, stays and what goes wrong, hour by hour through every lot.
//!
//! Arrivals and base were fitted to public counts of 220 German car parks; the mixture of stays is an assumption.

use std::{cmp::Reverse, collections::BinaryHeap};

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};

use super::shape::{Plan, Reservation, SEASON_DAYS, Site};
use crate::{
    base::money::Money,
    parking::rules::{billing, state::State},
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Arrivals a spot and day on a weekday, on Saturday and on Sunday, each with the share of every hour in percent.
const WEEKDAY: (f64, [f64; 24]) = (
    1.23,
    [
        0.1, 0.6, 0.6, 0.2, 0.0, 0.3, 1.8, 4.7, 8.8, 12.0, 13.3, 11.8, 9.1, 7.3, 6.3, 5.6, 4.8, 3.8, 3.2,
        2.6, 1.9, 1.0, 0.1, 0.0,
    ],
);
const SATURDAY: (f64, [f64; 24]) = (
    1.44,
    [
        0.3, 0.6, 0.5, 0.2, 0.1, 0.3, 0.9, 2.2, 5.0, 8.5, 11.5, 12.6, 11.4, 9.8, 8.7, 7.5, 5.8, 4.5, 3.6,
        2.7, 1.7, 1.0, 0.4, 0.2,
    ],
);
const SUNDAY: (f64, [f64; 24]) = (
    0.56,
    [
        1.0, 1.2, 1.0, 0.6, 0.4, 0.6, 1.2, 2.0, 3.3, 5.0, 6.5, 7.5, 7.2, 7.5, 8.0, 7.8, 7.2, 6.8, 6.3, 5.6,
        4.8, 3.8, 2.8, 1.9,
    ],
);

/// Shares of all bookings: cancelled before the start, nobody came, and of those who park, booked ahead.
const CANCELLED: f64 = 0.09;
const NO_SHOW: f64 = 0.06;
const BOOKED_AHEAD: f64 = 0.3;
/// Share of the sessions that nobody ends for two to six days.
const FORGOTTEN: f64 = 0.005;
/// Spots that season tickets hold day and night: with the forgotten sessions, a quarter.
const SEASON: f64 = 0.227;
/// Bookings a spot on the average day, for estimates.
pub(super) const BOOKINGS_A_SPOT_AND_DAY: f64 =
    (5.0 * WEEKDAY.0 + SATURDAY.0 + SUNDAY.0) / 7.0 / (1.0 - CANCELLED - NO_SHOW);
/// A booking that nobody has come for by then expires.
const GRACE: i64 = 30 * MINUTE;
/// Visits of the driver at rank k go with k to minus this power.
const ZIPF: f64 = 0.6;
/// Held until further notice: the session goes on, or is still to come.
const OPEN: i64 = i64::MAX;

/// Every reservation in the order of `starts_at`, without ids. Besides the past, those of the coming day that are
/// already booked.
pub(super) fn rows(plan: &Plan) -> impl Iterator<Item = Reservation> {
    let (begin, end, zone) = (plan.begin().timestamp(), plan.now.timestamp() + DAY, plan.zone);
    let mut lots: Vec<Lot> = plan.sites().map(|site| Lot::new(plan, site)).collect();
    (begin..end).step_by(HOUR as usize).flat_map(move |hour| {
        let arrivals = arrivals_a_spot(instant(hour).with_timezone(&zone));
        let mut rows = Vec::new();
        for lot in &mut lots {
            lot.season_tickets(hour + HOUR, &mut rows);
            lot.hour(hour, arrivals, &mut rows);
        }
        rows.sort_by_key(|row| row.starts_at);
        rows
    })
}

/// People who come to park within the hour, a spot. A clock change skips an hour's traffic or repeats it.
fn arrivals_a_spot(local: DateTime<Tz>) -> f64 {
    let (a_day, shares) = match local.weekday() {
        Weekday::Sat => &SATURDAY,
        Weekday::Sun => &SUNDAY,
        _ => &WEEKDAY,
    };
    a_day * shares[local.hour() as usize] / 100.0
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// How long somebody means to stay, in seconds: a mixture of errands, visits, working days and journeys.
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

/// What becomes of a booking.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Cancels,
    StaysAway,
    ParksAsBooked,
    WalksIn,
}

impl Fate {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.random::<f64>() {
            chance if chance < CANCELLED => Self::Cancels,
            chance if chance < CANCELLED + NO_SHOW => Self::StaysAway,
            chance if chance < CANCELLED + NO_SHOW + BOOKED_AHEAD => Self::ParksAsBooked,
            _ => Self::WalksIn,
        }
    }
}

/// One lot as the simulation goes through time. Instants are seconds since 1970.
struct Lot {
    rng: ChaCha8Rng,
    site: Site,
    now: i64,
    free: Vec<i64>,
    /// When a spot becomes free, the soonest first.
    leaving: BinaryHeap<Reverse<(i64, i64)>>,
    /// The user at rank 0, and until when the one at each rank has a reservation.
    first_user: i64,
    busy_until: Vec<i64>,
    driver_id: i64,
    /// Spot, user and next arrival of every season ticket.
    tickets: Vec<(i64, i64, i64)>,
}

impl Lot {
    fn new(plan: &Plan, site: Site) -> Self {
        let index = site.lot.id - 1;
        let mut rng = plan.rng(100 + index.unsigned_abs());
        let (spots, drivers) = (plan.spots_per_lot as i64, plan.drivers_a_lot() as i64);
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

    /// The stays of season ticket holders that begin before `until`: weeks on the same spot, a short drive, weeks.
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

    /// Those who come within the hour from `from` on, as a Poisson process.
    fn hour(&mut self, from: i64, arrivals_a_spot: f64, rows: &mut Vec<Reservation>) {
        let bookings = arrivals_a_spot * self.site.lot.number_of_slots as f64 / (1.0 - CANCELLED - NO_SHOW);
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

    /// One booking for `starts`, unless the lot is full or, of the future, nobody knows of it yet.
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
            Fate::WalksIn => (starts, starts),
            _ => (starts - lead, starts + rng.random_range(0..12 * MINUTE)),
        };
        if created > self.now {
            return None;
        }
        let (parks, leaves) = (matches!(fate, Fate::ParksAsBooked | Fate::WalksIn), arrives + stays);
        let held_until = match fate {
            Fate::Cancels if starts <= self.now => ends,
            Fate::StaysAway if starts + GRACE <= self.now => ends,
            _ if parks && leaves <= self.now => leaves,
            _ => OPEN,
        };
        let spot = self.take_spot(starts, held_until)?;
        let user = self.take_user(starts, held_until)?;
        let row = self.row(user, spot, starts, created);
        let row = Reservation { ends_at: (fate != Fate::WalksIn).then(|| instant(ends)), ..row };
        Some(match fate {
            _ if parks && arrives <= self.now => self.park(row, arrives, leaves),
            _ if held_until == OPEN => row,
            Fate::Cancels => Reservation { state: State::Cancelled, ..row },
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

    /// Somebody who has no reservation at the time: the frequent ones are often there already, then another is
    /// drawn, in the end the next in rank. There are more drivers than spots. The demo's own driver is kept free
    /// now, so that he can book.
    fn take_user(&mut self, at: i64, until: i64) -> Option<i64> {
        let users = self.busy_until.len();
        let power = 1.0 - ZIPF;
        let range = (users as f64 + 1.0).powf(power) - 1.0;
        let mut rank = 0;
        for attempt in 0..users {
            // The inverse of the law's distribution function, with ranks continuous.
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

    /// A booking that waits for its driver, at the rate that held when it was made.
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

impl Reservation {
    /// The session after its end: billed and paid.
    pub(super) fn complete(self, left_at: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Self {
        let payment_method = match rng.random::<f64>() {
            ..0.62 => "UPI",
            ..0.90 => "Card",
            _ => "Cash",
        };
        let transaction_id = (payment_method != "Cash").then(|| {
            let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
            let mut id = String::with_capacity(13);
            id.push_str("TXN");
            id.extend((0..10).map(|_| char::from(characters[rng.random_range(0..characters.len())])));
            id
        });
        let hours = billing::charged_hours(self.arrived_at.unwrap_or(self.starts_at), left_at);
        let cost_minor = billing::cost(Money::from_minor(self.hourly_rate_minor), hours).minor();
        let payment_method = Some(payment_method);
        Self {
            state: State::Completed,
            left_at: Some(left_at),
            cost_minor,
            transaction_id,
            payment_method,
            ..self
        }
    }
}
