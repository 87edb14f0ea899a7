//! The model of a car park: as simple as possible, a list that is searched linearly.

use chrono::{DateTime, TimeDelta, Utc};

/// Price per hour, in minor units.
pub(crate) const RATE: i64 = 2550;
/// How late a driver may arrive.
const GRACE: TimeDelta = TimeDelta::minutes(30);
/// How early.
const EARLY: TimeDelta = TimeDelta::minutes(15);
/// A window that begins within this time keeps its spot from drivers without one.
const PROTECTION: TimeDelta = TimeDelta::minutes(120);
/// How long a driver without a window is expected to stay, and any driver at least.
const STAY: TimeDelta = TimeDelta::minutes(120);
const REST: TimeDelta = TimeDelta::minutes(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Reserved,
    Active,
    Completed,
    Cancelled,
    Expired,
}

/// The drivers. The number after theirs is the administrator, who stands for the accounts of lots.
pub(crate) const USERS: usize = 5;
/// The first cars belong to the drivers with these numbers, the others to nobody.
pub(crate) const CARS_OF_DRIVERS: usize = 2;

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
    /// A car without an account.
    pub(crate) guest: Option<usize>,
    pub(crate) lot: usize,
    pub(crate) spot: i64,
    pub(crate) state: State,
    /// The start of the window, or of a stay without one, which has no end.
    pub(crate) begin: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) arrived: Option<DateTime<Utc>>,
    pub(crate) left: Option<DateTime<Utc>>,
    pub(crate) cost: i64,
    pub(crate) transaction: Option<String>,
    pub(crate) refunded: bool,
}

impl Reservation {
    fn is(&self, state: State, spot: i64) -> bool {
        self.spot == spot && self.state == state
    }

    fn overlaps(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        self.begin < to && self.end.is_some_and(|end| end > from)
    }

    /// When the session on a spot is expected to end.
    fn expected_end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let arrived = self.arrived.expect("a session");
        self.end.unwrap_or(arrived + STAY).max(now + REST)
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

    fn occupied(&self, spot: i64) -> bool {
        self.reservations.iter().any(|one| one.is(State::Active, spot))
    }

    fn waiting(&self, spot: i64) -> impl Iterator<Item = &Reservation> {
        self.reservations.iter().filter(move |one| one.is(State::Reserved, spot))
    }

    pub(crate) fn until_next_window(&self) -> TimeDelta {
        let waiting = self.reservations.iter().filter(|one| one.state == State::Reserved);
        let coming = waiting.map(|one| one.begin - self.now).filter(|time| *time > TimeDelta::zero());
        coming.min().unwrap_or_default()
    }

    fn is_due(&self, window: &Reservation) -> bool {
        window.state == State::Reserved && window.overlaps(self.now, self.now + PROTECTION)
    }

    /// The windows that are due in the lot while a car is on their spot, the first one first.
    fn displaced(&self, lot: usize) -> Vec<usize> {
        let is_displaced = |one: &Reservation| one.lot == lot && self.is_due(one) && self.occupied(one.spot);
        let mut displaced: Vec<_> =
            (0..self.reservations.len()).filter(|nth| is_displaced(&self.reservations[*nth])).collect();
        displaced.sort_by_key(|nth| (self.reservations[*nth].begin, self.reservations[*nth].id));
        displaced
    }

    fn is_free(&self, spot: i64) -> bool {
        !self.occupied(spot) && !self.waiting(spot).any(|window| self.is_due(window))
    }

    /// The number of free spots less that of displaced windows.
    pub(crate) fn free_now(&self, lot: usize) -> i64 {
        let free = self.lots[lot].iter().filter(|spot| self.is_free(**spot)).count();
        i64::try_from(free).unwrap() - i64::try_from(self.displaced(lot).len()).unwrap()
    }

    fn first_window(&self, spot: i64) -> DateTime<Utc> {
        self.waiting(spot).map(|window| window.begin).min().unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The spots that drivers without a window may take, by number.
    pub(crate) fn free(&self, lot: usize) -> Vec<i64> {
        let mut free: Vec<_> = self.lots[lot].iter().copied().filter(|spot| self.is_free(*spot)).collect();
        free.sort_by_key(|spot| std::cmp::Reverse(self.first_window(*spot)));
        free.truncate(usize::try_from(self.free_now(lot)).unwrap_or(0));
        free.sort_unstable();
        free
    }

    fn parked(&self, user: usize) -> bool {
        user < USERS && self.reservations.iter().any(|one| one.user == user && one.state == State::Active)
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
        if self.free_now(lot) <= 0 {
            self.sweep(|one| one.lot == lot);
        }
        let spots = self.lots[lot].iter().copied().filter(|_| self.free_now(lot) > 0);
        let mut free: Vec<_> = spots.filter(|spot| self.is_free(*spot)).collect();
        free.sort_by_key(|spot| std::cmp::Reverse(self.first_window(*spot)));
        free.first().copied().ok_or((409, "lot_full"))
    }

    /// A car without an account arrives. Returns its spot.
    fn admit(&mut self, guest: usize, lot: usize) -> Expected<i64> {
        let is_guest = |one: &Reservation| one.state == State::Active && one.guest == Some(guest);
        if self.reservations.iter().any(is_guest) {
            return Err((409, "plate_parked"));
        }
        self.book(USERS, lot)
    }

    /// A car arrives at the barrier: for the reservation of its driver with this number, or on this spot.
    pub(crate) fn arrive(&mut self, car: usize, lot: usize) -> Expected<(Option<(usize, Reservation)>, i64)> {
        if lot >= self.lots.len() {
            return Err((404, "not_found"));
        }
        if car >= CARS_OF_DRIVERS {
            return self.admit(car, lot).map(|spot| (None, spot));
        }
        let can_arrive = |one: &Reservation| {
            let is_theirs = one.user == car && one.lot == lot && one.state == State::Reserved;
            is_theirs && one.begin <= self.now + EARLY && !one.is_missed(self.now)
        };
        let open = (0..).zip(&self.reservations).filter(|(_, one)| can_arrive(one));
        match open.min_by_key(|(_, one)| (one.begin, one.id)).map(|(nth, _)| nth) {
            Some(nth) => self.occupy(car, nth).map(|after| (Some((nth, after.clone())), after.spot)),
            None => self.book(car, lot).map(|spot| (None, spot)),
        }
    }

    /// The stay that ends when a car leaves a lot.
    pub(crate) fn stay_of(&self, car: usize, lot: usize) -> Option<usize> {
        let is_its = |one: &Reservation| match one.guest {
            Some(guest) => guest == car,
            None => car < CARS_OF_DRIVERS && one.user == car,
        };
        self.reservations.iter().position(|one| one.state == State::Active && one.lot == lot && is_its(one))
    }

    /// Returns the reservation after the refund.
    pub(crate) fn refund(&self, nth: usize) -> Expected<Reservation> {
        let one = self.reservations.get(nth).cloned().ok_or((404, "not_found"))?;
        match (&one.transaction, one.refunded) {
            (_, true) => Err((409, "already_refunded")),
            (Some(_), _) if one.state == State::Completed => Ok(Reservation { refunded: true, ..one }),
            _ => Err((409, "not_paid")),
        }
    }

    /// Returns the spot and the price of the window. Without a spot, the lot chooses one.
    pub(crate) fn reserve(
        &mut self,
        lot: usize,
        spot: Option<i64>,
        begin: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Expected<(i64, i64)> {
        if begin < self.now || end <= begin {
            return Err((400, "invalid"));
        }
        if self.place(lot, spot, begin, end).is_err() {
            self.sweep(|one| one.lot == lot);
        }
        Ok((self.place(lot, spot, begin, end)?, price(begin, end)))
    }

    fn place(
        &self,
        lot: usize,
        spot: Option<i64>,
        begin: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Expected<i64> {
        let spot = match spot {
            Some(spot) if !self.fits(spot, begin, end) => return Err((409, "spot_taken")),
            Some(spot) => spot,
            None => self.tightest(lot, begin, end).ok_or((409, "lot_full"))?,
        };
        // A window that is due at once leaves a free spot for every displaced one.
        let displaced = self.displaced(lot).len() + usize::from(self.occupied(spot));
        let spares = self.lots[lot].iter().filter(|other| **other != spot && self.is_free(**other)).count();
        let leaves_enough = begin >= self.now + PROTECTION || spares >= displaced;
        if leaves_enough { Ok(spot) } else { Err((409, "lot_full")) }
    }

    fn tightest(&self, lot: usize, begin: DateTime<Utc>, end: DateTime<Utc>) -> Option<i64> {
        let is_due = begin < self.now + PROTECTION;
        let rank = |spot: &i64| {
            let occupied = self.occupied(*spot);
            let kept = !occupied && self.waiting(*spot).any(|window| self.is_due(window));
            let next = self.waiting(*spot).map(|window| window.begin).filter(|next| *next >= end).min();
            let open = self
                .reservations
                .iter()
                .filter(|one| one.is(State::Reserved, *spot) || one.is(State::Active, *spot));
            let previous = open.filter_map(|one| one.end).filter(|previous| *previous <= begin).max();
            let next = next.unwrap_or(DateTime::<Utc>::MAX_UTC);
            (occupied, is_due && !kept, next, std::cmp::Reverse(previous))
        };
        self.lots[lot].iter().copied().filter(|spot| self.fits(*spot, begin, end)).min_by_key(rank)
    }

    /// Whether any spot of the lot could take the window.
    pub(crate) fn fits_somewhere(&self, lot: usize, begin: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        self.lots[lot].iter().any(|spot| self.place(lot, Some(*spot), begin, end).is_ok())
    }

    fn fits(&self, spot: i64, begin: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        !self.reservations.iter().any(|other| {
            let is_window = other.is(State::Reserved, spot) || other.is(State::Active, spot);
            (is_window && other.overlaps(begin, end))
                || (other.is(State::Active, spot) && other.expected_end(self.now) > begin)
        })
    }

    /// Returns the changed reservation.
    pub(crate) fn reschedule(
        &mut self,
        user: usize,
        nth: usize,
        begin: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Expected<Reservation> {
        let old = self.own(user, nth)?;
        if old.state != State::Reserved || old.is_missed(self.now) {
            return Err(self.refused(&old));
        }
        if begin < self.now.min(old.begin) || end <= begin || end <= self.now {
            return Err((400, "invalid"));
        }
        let attempt = |park: &mut Self| {
            park.reservations[nth].state = State::Cancelled;
            let spot = park.place(old.lot, Some(old.spot), begin, end);
            let spot = spot.or_else(|_| park.place(old.lot, None, begin, end));
            park.reservations[nth].state = State::Reserved;
            spot
        };
        let spot = match attempt(self) {
            Err(_) => {
                self.sweep(|one| one.lot == old.lot && one.id != old.id);
                attempt(self)?
            }
            Ok(spot) => spot,
        };
        Ok(Reservation { spot, begin, end: Some(end), cost: price(begin, end), ..old })
    }

    fn claimed(&self, spot: i64, until: DateTime<Utc>, except: i64) -> bool {
        self.waiting(spot).any(|window| window.id != except && window.overlaps(self.now, until))
    }

    fn without_car(&self, lot: usize) -> Vec<i64> {
        self.lots[lot].iter().copied().filter(|spot| !self.occupied(*spot)).collect()
    }

    /// The spot without a car that no other window needs from `from` until `to`, with the shortest pause after it.
    fn unclaimed(&self, lot: usize, from: DateTime<Utc>, to: DateTime<Utc>, except: i64) -> Option<i64> {
        let rank = |spot: &i64| {
            let next = self.waiting(*spot).map(|window| window.begin).filter(|next| *next >= to).min();
            next.unwrap_or(DateTime::<Utc>::MAX_UTC)
        };
        let is_claimed =
            |spot: i64| self.waiting(spot).any(|window| window.id != except && window.overlaps(from, to));
        self.without_car(lot).into_iter().filter(|spot| !is_claimed(*spot)).min_by_key(rank)
    }

    /// The spot without a car whose first window begins latest.
    fn emptiest(&self, lot: usize) -> Option<i64> {
        let mut spots = self.without_car(lot);
        spots.sort_by_key(|spot| std::cmp::Reverse(self.first_window(*spot)));
        spots.first().copied()
    }

    fn exchange(&mut self, occupied: i64, empty: i64) {
        let car =
            self.reservations.iter().find(|one| one.is(State::Active, occupied)).and_then(|car| car.end);
        let now = self.now;
        for one in
            self.reservations.iter_mut().filter(|one| one.state == State::Reserved && one.end > Some(now))
        {
            if one.spot == empty {
                one.spot = occupied;
                one.begin = car.map_or(one.begin, |end| one.begin.max(end));
            } else if one.spot == occupied {
                one.spot = empty;
            }
        }
    }

    /// The worker moves windows away from occupied spots.
    pub(crate) fn reseat(&mut self) {
        for lot in 0..self.lots.len() {
            if self.displaced(lot).is_empty() {
                continue;
            }
            self.sweep(|one| one.lot == lot);
            let mut stuck = Vec::new();
            while let Some(nth) = self.displaced(lot).into_iter().find(|nth| !stuck.contains(nth)) {
                let window = self.reservations[nth].clone();
                if let Some(spot) = self.unclaimed(lot, window.begin, window.end.unwrap(), window.id) {
                    self.reservations[nth].spot = spot;
                    continue;
                }
                match self.emptiest(lot) {
                    Some(empty) if self.first_window(empty) > window.begin => {
                        self.exchange(window.spot, empty)
                    }
                    _ => stuck.push(nth),
                }
            }
        }
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
        if self.now < reservation.begin - EARLY {
            return Err((409, "too_early"));
        }
        let (spot, exchanges) = self.spot_for(&reservation)?;
        if self.parked(user) {
            return Err((409, "already_parked"));
        }
        if exchanges {
            self.exchange(reservation.spot, spot);
        }
        Ok(Reservation { state: State::Active, spot, arrived: Some(self.now), ..reservation })
    }

    /// The spot for a driver who arrives, and whether its windows change places with those of the reserved one.
    fn spot_for(&mut self, reservation: &Reservation) -> Expected<(i64, bool)> {
        let (lot, own, is_early) = (reservation.lot, reservation.spot, self.now < reservation.begin);
        if !is_early && !self.occupied(own) {
            return Ok((own, false));
        }
        self.sweep(|one| one.lot == lot);
        let end = reservation.end.expect("a window");
        let unclaimed = self.unclaimed(lot, self.now, end, reservation.id);
        if is_early {
            let is_own_free = !self.occupied(own) && !self.claimed(own, end, reservation.id);
            let spot = if is_own_free { Some(own) } else { unclaimed };
            let spot = spot.filter(|_| self.free_now(lot) >= 0).ok_or((409, "too_early"))?;
            return Ok((spot, false));
        }
        if let Some(spot) = unclaimed {
            return Ok((spot, false));
        }
        Ok((self.emptiest(lot).ok_or((409, "spot_overstayed"))?, true))
    }

    /// Whether a driver who is in time may be turned away: every spot of the lot holds a car inside its window or past
    /// it, or one without a window that came before this one was protected.
    pub(crate) fn may_turn_away(&self, nth: usize) -> bool {
        let window = &self.reservations[nth];
        let excuses = |car: &Reservation| match (car.end, car.arrived) {
            (None, Some(arrived)) => arrived <= window.begin - PROTECTION,
            _ => car.begin <= self.now,
        };
        self.lots[window.lot]
            .iter()
            .all(|spot| self.reservations.iter().any(|car| car.is(State::Active, *spot) && excuses(car)))
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
                if transaction.is_none() || transaction == reservation.transaction.as_deref() =>
            {
                Ok(reservation)
            }
            State::Completed if reservation.refunded => Err((409, "refunded")),
            State::Completed if reservation.transaction.is_some() => Err((409, "paid_otherwise")),
            State::Completed | State::Active if self.is_used(transaction) => Err((409, "transaction_used")),
            State::Completed => {
                Ok(Reservation { transaction: transaction.map(ToOwned::to_owned), ..reservation })
            }
            State::Active => Ok(Reservation {
                state: State::Completed,
                left: Some(self.now),
                cost: self.bill(&reservation),
                transaction: transaction.map(ToOwned::to_owned),
                ..reservation
            }),
            State::Reserved | State::Cancelled | State::Expired => Err(self.refused(&reservation)),
        }
    }

    /// The first lot charges every started minute, by a tariff; the others every started hour.
    pub(crate) fn is_by_the_minute(&self, spot: i64) -> bool {
        self.lots.first().is_some_and(|spots| spots.contains(&spot))
    }

    fn bill(&self, reservation: &Reservation) -> i64 {
        let begin = reservation.parking_time();
        if self.is_by_the_minute(reservation.spot) {
            return price(begin, self.now.max(begin + TimeDelta::minutes(1)));
        }
        let minutes = (self.now - begin).num_minutes();
        let hours = (1..).find(|hours| hours * 60 >= minutes).expect("some number of hours");
        hours * RATE
    }

    fn is_used(&self, transaction: Option<&str>) -> bool {
        transaction.is_some() && self.reservations.iter().any(|one| one.transaction.as_deref() == transaction)
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

fn price(begin: DateTime<Utc>, end: DateTime<Utc>) -> i64 {
    ((end - begin).num_minutes() * RATE + 30) / 60
}
