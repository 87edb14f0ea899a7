//! The model of a car park: as simple as possible, a list that is searched linearly.

use chrono::{DateTime, TimeDelta, Utc};

/// Price per hour, in minor units.
pub(crate) const RATE: i64 = 2550;
/// How late a driver may arrive.
const GRACE: TimeDelta = TimeDelta::minutes(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Reserved,
    Active,
    Completed,
    Cancelled,
    Expired,
}

/// A reservation, and who acts on it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    /// The k-th reservation in this state, by its owner.
    Own(State, usize),
    /// The n-th reservation, which may not exist, by any user.
    Any(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) id: i64,
    pub(crate) user: usize,
    pub(crate) lot: usize,
    pub(crate) spot: i64,
    pub(crate) state: State,
    /// The start of the window, which never changes; a walk-in has no end.
    pub(crate) begin: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) arrived: Option<DateTime<Utc>>,
    pub(crate) left: Option<DateTime<Utc>>,
    pub(crate) cost: i64,
    pub(crate) transaction: Option<String>,
}

impl Reservation {
    fn holds(&self, spot: i64) -> bool {
        self.spot == spot && [State::Reserved, State::Active].contains(&self.state)
    }

    pub(crate) fn parking_time(&self) -> DateTime<Utc> {
        self.arrived.unwrap_or(self.begin)
    }

    pub(crate) fn leaving_time(&self) -> Option<DateTime<Utc>> {
        if self.state == State::Active { None } else { self.left.or(self.end) }
    }

    fn is_missed(&self, now: DateTime<Utc>) -> bool {
        let over = now > self.begin + GRACE || self.end.is_some_and(|end| now >= end);
        self.state == State::Reserved && over
    }
}

pub(crate) struct Park {
    /// The spots of each lot, by number.
    pub(crate) lots: Vec<Vec<i64>>,
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) now: DateTime<Utc>,
}

/// The result, or the status and code of the error.
pub(crate) type Expected<T> = Result<T, (u16, &'static str)>;

impl Park {
    /// The user and the index of the reservation.
    pub(crate) fn pick(&self, user: usize, pick: Pick) -> (usize, usize) {
        match pick {
            Pick::Any(nth) => (user, nth),
            Pick::Own(state, k) => {
                let all: Vec<_> =
                    (0..).zip(&self.reservations).filter(|(_, one)| one.state == state).collect();
                let chosen = all.get(k % all.len().max(1));
                chosen.map_or((user, usize::MAX), |(nth, reservation)| (reservation.user, *nth))
            }
        }
    }

    pub(crate) fn free(&self, lot: usize) -> Vec<i64> {
        let held = |spot: &i64| self.reservations.iter().any(|reservation| reservation.holds(*spot));
        self.lots[lot].iter().copied().filter(|spot| !held(spot)).collect()
    }

    fn parked(&self, user: usize) -> bool {
        self.reservations.iter().any(|one| one.user == user && one.state == State::Active)
    }

    /// Expires no-shows.
    pub(crate) fn sweep(&mut self, which: impl Fn(&Reservation) -> bool) {
        let now = self.now;
        for one in self.reservations.iter_mut().filter(|one| one.is_missed(now) && which(one)) {
            (one.state, one.cost) = (State::Expired, 0);
        }
    }

    /// Returns the spot that the user gets.
    pub(crate) fn book(&mut self, user: usize, lot: usize) -> Expected<i64> {
        if self.parked(user) {
            return Err((409, "already_parked"));
        }
        if lot >= self.lots.len() {
            return Err((404, "not_found"));
        }
        if self.free(lot).is_empty() {
            self.sweep(|one| one.lot == lot);
        }
        self.free(lot).first().copied().ok_or((409, "lot_full"))
    }

    /// Returns the price of the window.
    pub(crate) fn reserve(&mut self, spot: i64, begin: DateTime<Utc>, end: DateTime<Utc>) -> Expected<i64> {
        if begin < self.now || end <= begin {
            return Err((400, "invalid"));
        }
        if !self.fits(spot, begin, end) {
            self.sweep(|one| one.spot == spot);
        }
        if !self.fits(spot, begin, end) {
            return Err((409, "spot_taken"));
        }
        Ok(((end - begin).num_minutes() * RATE + 30) / 60)
    }

    fn fits(&self, spot: i64, begin: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        let overlaps = |other: &Reservation| other.begin < end && other.end.is_none_or(|end| end > begin);
        !self.reservations.iter().any(|other| other.holds(spot) && overlaps(other))
    }

    /// The reservation, if it belongs to the user.
    fn own(&self, user: usize, nth: usize) -> Expected<Reservation> {
        let own = self.reservations.get(nth).filter(|reservation| reservation.user == user);
        own.cloned().ok_or((404, "not_found"))
    }

    /// The error for an action that is not allowed in the reservation's state.
    fn refused(&self, reservation: &Reservation) -> (u16, &'static str) {
        let expired = reservation.state == State::Expired || reservation.is_missed(self.now);
        (409, if expired { "expired" } else { "wrong_state" })
    }

    /// Returns the reservation after the arrival.
    pub(crate) fn occupy(&mut self, user: usize, nth: usize) -> Expected<Reservation> {
        let reservation = self.own(user, nth)?;
        if reservation.state != State::Reserved || reservation.is_missed(self.now) {
            return Err(self.refused(&reservation));
        }
        if self.now < reservation.begin {
            return Err((409, "too_early"));
        }
        let active = |one: &&Reservation| one.spot == reservation.spot && one.state == State::Active;
        let overstayed = self.reservations.iter().find(active).is_some();
        if overstayed && self.free(reservation.lot).is_empty() {
            self.sweep(|one| one.lot == reservation.lot);
        }
        let spot = match overstayed {
            true => self.free(reservation.lot).first().copied().ok_or((409, "spot_overstayed"))?,
            false => reservation.spot,
        };
        if self.parked(user) {
            return Err((409, "already_parked"));
        }
        Ok(Reservation { state: State::Active, spot, arrived: Some(self.now), ..reservation })
    }

    /// Returns the reservation after billing.
    pub(crate) fn release(
        &self,
        user: usize,
        nth: usize,
        transaction: Option<&str>,
    ) -> Expected<Reservation> {
        let reservation = self.own(user, nth)?;
        match reservation.state {
            State::Completed
                if transaction.is_some() && transaction != reservation.transaction.as_deref() =>
            {
                Err((409, "paid_otherwise"))
            }
            State::Completed => Ok(reservation),
            State::Active => {
                let minutes = (self.now - reservation.parking_time()).num_minutes();
                let hours = (1..).find(|hours| hours * 60 >= minutes).expect("some number of hours");
                Ok(Reservation {
                    state: State::Completed,
                    left: Some(self.now),
                    cost: hours * RATE,
                    transaction: transaction.map(ToOwned::to_owned),
                    ..reservation
                })
            }
            State::Reserved | State::Cancelled | State::Expired => Err(self.refused(&reservation)),
        }
    }

    /// Returns the cancelled reservation.
    pub(crate) fn cancel(&self, user: usize, nth: usize) -> Expected<Reservation> {
        let reservation = self.own(user, nth)?;
        match reservation.state {
            State::Cancelled => Ok(reservation),
            State::Reserved if !reservation.is_missed(self.now) => {
                Ok(Reservation { state: State::Cancelled, cost: 0, ..reservation })
            }
            _ => Err(self.refused(&reservation)),
        }
    }
}
