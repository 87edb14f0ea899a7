//! Any sequence of bookings, arrivals and departures goes as a simple model of the car park says.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};
use shared::{clock::Clock, time::rfc3339};
use testkit::{Answer, Driver, Engine, TestApp};
use tokio::{runtime::Handle, task::block_in_place};

use crate::support::{many_drivers, noon, reserve, spots};

const USERS: usize = 5;
/// Spots of each lot.
const LOTS: [i64; 2] = [2, 3];
const RATE: i64 = 2550;
const CASES: u32 = 10;
const STEPS: usize = 40;

/// Which reservation, and who comes with it.
#[derive(Debug, Clone, Copy)]
enum Pick {
    /// The k-th of those in this state, with its owner.
    Own(State, usize),
    /// The n-th of all, or none, with anybody.
    Any(usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// By that user, in that lot; the last one does not exist.
    Book(usize, usize),
    /// With a transaction or without.
    Release(usize, Pick, Option<u8>),
    Occupy(usize, Pick),
    /// For that user, on the n-th spot, in so many minutes, for so many.
    Reserve(usize, usize, i64, i64),
    Wait(i64),
    List(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS;
    let pick = |usual: State| {
        let own = |state: State| (0..8_usize).prop_map(move |k| Pick::Own(state, k));
        prop_oneof![6 => own(usual), 1 => own(State::Completed), 1 => (0..12_usize).prop_map(Pick::Any)]
    };
    let paid = prop::option::of(0..2_u8);
    prop_oneof![
        2 => (user.clone(), 0..=LOTS.len()).prop_map(|(user, lot)| Step::Book(user, lot)),
        3 => (user.clone(), pick(State::Active), paid).prop_map(|(user, pick, paid)| Step::Release(user, pick, paid)),
        4 => (user.clone(), pick(State::Reserved)).prop_map(|(user, pick)| Step::Occupy(user, pick)),
        5 => (user.clone(), 0..5_usize, prop_oneof![Just(0), 1..20_i64], 1..15_i64)
            .prop_map(|(user, spot, start, length)| Step::Reserve(user, spot, start, length)),
        3 => prop_oneof![4 => 1..25_i64, 1 => Just(60), 1 => 60..200_i64].prop_map(Step::Wait),
        1 => user.prop_map(Step::List),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reserved,
    Active,
    Completed,
}

#[derive(Debug, Clone)]
struct Reservation {
    id: i64,
    user: usize,
    lot: usize,
    spot: i64,
    state: State,
    from: DateTime<Utc>,
    /// The end of its window.
    until: Option<DateTime<Utc>>,
    left: Option<DateTime<Utc>>,
    cost: i64,
    transaction: Option<String>,
}

impl Reservation {
    fn holds(&self, spot: i64) -> bool {
        self.spot == spot && self.state != State::Completed
    }
}

/// What the car park should be like. The simplest thing that can be right: a list, searched from end to end.
struct Model {
    /// The spots of each lot, by number.
    lots: Vec<Vec<i64>>,
    reservations: Vec<Reservation>,
    now: DateTime<Utc>,
}

/// A status and a code, or what the reservation should now be.
type Expected<T> = Result<T, (u16, &'static str)>;

impl Model {
    /// A user and the place of a reservation in the list.
    fn pick(&self, user: usize, pick: Pick) -> (usize, usize) {
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

    fn free(&self, lot: usize) -> Vec<i64> {
        let held = |spot: &i64| self.reservations.iter().any(|reservation| reservation.holds(*spot));
        self.lots[lot].iter().copied().filter(|spot| !held(spot)).collect()
    }

    fn parked(&self, user: usize) -> bool {
        self.reservations
            .iter()
            .any(|reservation| reservation.user == user && reservation.state == State::Active)
    }

    /// The spot that the user gets.
    fn book(&self, user: usize, lot: usize) -> Expected<i64> {
        if self.parked(user) {
            return Err((409, "already_parked"));
        }
        if lot >= self.lots.len() {
            return Err((404, "not_found"));
        }
        self.free(lot).first().copied().ok_or((409, "lot_full"))
    }

    /// The spot at which the user arrives.
    fn occupy(&self, user: usize, nth: usize) -> Expected<i64> {
        let own = self.reservations.get(nth).filter(|reservation| reservation.user == user);
        let reservation = own.ok_or((404, "not_found"))?;
        if reservation.state != State::Reserved {
            return Err((409, "wrong_state"));
        }
        if self.now < reservation.from {
            return Err((409, "too_early"));
        }
        let overstayed = self
            .reservations
            .iter()
            .any(|other| other.spot == reservation.spot && other.state == State::Active);
        let spot = match overstayed {
            true => self.free(reservation.lot).first().copied().ok_or((409, "spot_overstayed"))?,
            false => reservation.spot,
        };
        if self.parked(user) { Err((409, "already_parked")) } else { Ok(spot) }
    }

    /// The reservation after the bill.
    fn release(&self, user: usize, nth: usize, transaction: Option<&str>) -> Expected<Reservation> {
        let own = self.reservations.get(nth).filter(|reservation| reservation.user == user);
        let reservation = own.ok_or((404, "not_found"))?.clone();
        match reservation.state {
            State::Reserved => Err((409, "wrong_state")),
            State::Completed
                if transaction.is_some() && transaction != reservation.transaction.as_deref() =>
            {
                Err((409, "paid_otherwise"))
            }
            State::Completed => Ok(reservation),
            State::Active => {
                let minutes = (self.now - reservation.from).num_minutes();
                let hours = (1..).find(|hours| hours * 60 >= minutes).expect("some number of hours");
                Ok(Reservation {
                    state: State::Completed,
                    left: Some(self.now),
                    cost: hours * RATE,
                    transaction: transaction.map(ToOwned::to_owned),
                    ..reservation
                })
            }
        }
    }

    /// Whether the database has to accept a window on this spot.
    fn fits(&self, spot: i64, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let overlaps = |other: &Reservation| other.from < until && other.until.is_none_or(|end| end > from);
        !self.reservations.iter().any(|other| other.holds(spot) && overlaps(other))
    }
}

/// A model beside the car park that it describes.
struct Both<'a> {
    t: &'a TestApp,
    clock: &'a Clock,
    users: Vec<Driver>,
    lots: Vec<i64>,
    model: Model,
    /// The begin of each reservation's window: `from` moves on arrival, the window stays.
    windows: BTreeMap<i64, DateTime<Utc>>,
}

fn agree(answer: &Answer, expected: (u16, &str)) {
    answer.problem(expected.0, expected.1);
}

impl Both<'_> {
    async fn post(&self, user: usize, action: &str, body: Value) -> Answer {
        self.t.post(&format!("/booking/{action}"), Some(&self.users[user]), body).await
    }

    fn id(&self, nth: usize) -> i64 {
        self.model.reservations.get(nth).map_or(999_999_999, |reservation| reservation.id)
    }

    async fn run(&mut self, step: &Step) {
        match *step {
            Step::Book(user, lot) => self.book(user, lot).await,
            Step::Occupy(user, pick) => {
                let (user, nth) = self.model.pick(user, pick);
                self.occupy(user, nth).await;
            }
            Step::Release(user, pick, paid) => {
                let (user, nth) = self.model.pick(user, pick);
                self.release(user, nth, paid).await;
            }
            Step::Reserve(user, spot, start, length) => self.reserve(user, spot, start, length).await,
            Step::Wait(minutes) => {
                self.clock.advance(TimeDelta::minutes(minutes));
                self.model.now += TimeDelta::minutes(minutes);
            }
            Step::List(user) => self.list(user).await,
        }
    }

    async fn book(&mut self, user: usize, lot: usize) {
        let id = self.lots.get(lot).copied().unwrap_or(999_999_999);
        let answer = self.post(user, "book-spot", json!({ "lot_id": id })).await;
        match self.model.book(user, lot) {
            Err(refused) => agree(&answer, refused),
            Ok(spot) => {
                let answer = answer.expect(201);
                let booked = &answer.body["reservation"];
                assert_eq!(booked["spot_id"], spot);
                assert_eq!(booked["parking_time"], rfc3339(self.model.now));
                let id = booked["id"].as_i64().unwrap();
                let now = self.model.now;
                self.windows.insert(id, now);
                self.model.reservations.push(Reservation {
                    id,
                    user,
                    lot,
                    spot,
                    state: State::Active,
                    from: now,
                    until: None,
                    left: None,
                    cost: 0,
                    transaction: None,
                });
            }
        }
    }

    async fn occupy(&mut self, user: usize, nth: usize) {
        let answer = self.post(user, "occupy-spot", json!({ "reservation_id": self.id(nth) })).await;
        match self.model.occupy(user, nth) {
            Err(refused) => agree(&answer, refused),
            Ok(spot) => {
                let answer = answer.expect(200);
                assert_eq!(answer.body["reservation"]["spot_id"], spot);
                assert_eq!(answer.body["reservation"]["parking_time"], rfc3339(self.model.now));
                let now = self.model.now;
                let reservation = &mut self.model.reservations[nth];
                (reservation.state, reservation.spot, reservation.from) = (State::Active, spot, now);
            }
        }
    }

    async fn release(&mut self, user: usize, nth: usize, paid: Option<u8>) {
        let transaction = paid.map(|paid| format!("TXN{paid}"));
        let body = json!({ "reservation_id": self.id(nth), "transaction_id": transaction });
        let answer = self.post(user, "release-spot", body).await;
        match self.model.release(user, nth, transaction.as_deref()) {
            Err(refused) => agree(&answer, refused),
            Ok(after) => {
                let answer = answer.expect(200);
                let bill = &answer.body["reservation"];
                assert_eq!(minor(&bill["parking_cost"]), after.cost);
                assert_eq!(bill["leaving_time"], json!(after.left.map(rfc3339)));
                assert_eq!(bill["transaction_id"], json!(after.transaction));
                assert_eq!(bill["charged_hours"].as_i64().unwrap() * RATE, after.cost);
                self.model.reservations[nth] = after;
            }
        }
    }

    async fn reserve(&mut self, user: usize, nth: usize, start: i64, length: i64) {
        let spots: Vec<(usize, i64)> = (0..)
            .zip(&self.model.lots)
            .flat_map(|(lot, spots)| spots.iter().map(move |spot| (lot, *spot)))
            .collect();
        let (lot, spot) = spots[nth];
        let from = self.model.now + TimeDelta::minutes(start);
        let until = from + TimeDelta::minutes(length);
        let windows = Model {
            reservations: (self.model.reservations.iter().cloned())
                .map(|reservation| Reservation { from: self.windows[&reservation.id], ..reservation })
                .collect(),
            lots: Vec::new(),
            now: self.model.now,
        };
        let accepted = reserve(self.t, self.users[user].id, spot, from, until).await;
        assert_eq!(accepted.is_ok(), windows.fits(spot, from, until), "{accepted:?}");
        if let Ok(id) = accepted {
            self.windows.insert(id, from);
            self.model.reservations.push(Reservation {
                id,
                user,
                lot,
                spot,
                state: State::Reserved,
                from,
                until: Some(until),
                left: None,
                cost: 0,
                transaction: None,
            });
        }
    }

    async fn list(&self, user: usize) {
        let path = format!("/users/{}/reservations", self.users[user].id);
        let answer = self.t.get(&path, Some(&self.users[user])).await.expect(200);
        let listed: Vec<_> = (answer.body["reservations"].as_array().unwrap().iter())
            .map(|one| {
                let members = ["id", "spot_id", "status", "parking_time", "leaving_time", "transaction_id"];
                (members.map(|name| one[name].clone()), minor(&one["parking_cost"]))
            })
            .collect();
        let own = self.model.reservations.iter().filter(|reservation| reservation.user == user);
        let expected: Vec<_> = own
            .map(|one| {
                let (status, leaving) = match one.state {
                    State::Reserved => ("reserved", one.until),
                    State::Active => ("active", None),
                    State::Completed => ("completed", one.left),
                };
                let members = [
                    json!(one.id),
                    json!(one.spot),
                    json!(status),
                    json!(rfc3339(one.from)),
                    json!(leaving.map(rfc3339)),
                    json!(one.transaction),
                ];
                (members, one.cost)
            })
            .collect();
        assert_eq!(listed, expected);
    }

    async fn free_spots(&self) {
        for (lot, id) in self.lots.iter().enumerate() {
            let free = self.model.free(lot);
            let answer = self.t.get(&format!("/parking-lots/{id}/available-spots"), None).await.expect(200);
            let listed = answer.body["available_spots"].as_array().unwrap().iter();
            assert_eq!(listed.map(|spot| spot["id"].as_i64().unwrap()).collect::<Vec<_>>(), free);
            let read = self.t.get(&format!("/parking-lots/{id}"), None).await.expect(200);
            assert_eq!(read.body["lot"]["available_slots"], free.len());
        }
    }
}

fn minor(major: &Value) -> i64 {
    let minor = major.as_f64().expect("a number") * 100.0;
    assert!((minor - minor.round()).abs() < 1e-6);
    #[expect(clippy::cast_possible_truncation, reason = "small amounts")]
    let minor = minor.round() as i64;
    minor
}

async fn case(t: &TestApp, clock: &Clock, number: usize, steps: &[Step]) {
    let users = many_drivers(t, &format!("case{number}driver"), USERS).await;
    let mut lots = Vec::new();
    let mut model = Model { lots: Vec::new(), reservations: Vec::new(), now: clock.now() };
    for slots in LOTS {
        let lot = t.lot(slots).await;
        lots.push(lot);
        model.lots.push(spots(t, lot).await);
    }
    let mut both = Both { t, clock, users, lots, model, windows: BTreeMap::new() };
    for step in steps {
        both.run(step).await;
        both.free_spots().await;
    }
    for user in 0..USERS {
        both.list(user).await;
    }
}

/// Steps through the router; a failure is shrunk to the shortest sequence that shows it.
async fn any_sequence(engine: Engine) {
    let t = TestApp::start_with(engine, &[("SESSION_HOURS", "8000")]).await;
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (handle, count) = (Handle::current(), std::sync::atomic::AtomicUsize::new(0));
    block_in_place(|| {
        let config =
            Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let steps = prop::collection::vec(step(), STEPS);
        TestRunner::new(config).run(&steps, |steps| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let run = std::panic::AssertUnwindSafe(|| handle.block_on(case(&t, &clock, number, &steps)));
            std::panic::catch_unwind(run).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".into());
                TestCaseError::fail(text)
            })
        })
    })
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_bookings_goes_as_the_model_says_on_sqlite() {
    any_sequence(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_bookings_goes_as_the_model_says_on_postgres() {
    any_sequence(Engine::Postgres).await;
}
