//! Property test: random sequences of bookings, reservations, arrivals, departures, cancellations and refunds, by drivers and
//! at the barrier, match a simple model of the car park.

mod park;

use std::{collections::BTreeMap, sync::Mutex, time::Instant};

use chrono::TimeDelta;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use serde_json::{Value, json};
use shared::{
    base::{clock::Clock, time::rfc3339},
    parking::bookings,
};
use testkit::{Answer, Driver, Engine, TestApp};
use tokio::{runtime::Handle, task::block_in_place};

use self::park::{CARS_OF_DRIVERS, Park, Pick, RATE, Reservation, State, USERS};
use crate::{
    sizes::{Size, size},
    support::{many_drivers, noon, spots},
};

/// The number of spots in each lot, small enough for the model to try all of them.
const LOTS: [[i64; 2]; 4] = [[2, 3], [1, 3], [1, 2], [1, 1]];
const SEEDS: [u8; 3] = [1, 2, 3];

#[derive(Debug, Clone)]
enum Step {
    /// User and lot; the last lot does not exist.
    Book(usize, usize),
    /// User, n-th spot or any of its lot, start in minutes from now, duration in minutes.
    Reserve(usize, usize, bool, i64, i64),
    /// As for a reservation.
    Reschedule(usize, Pick, i64, i64),
    Cancel(usize, Pick),
    Occupy(usize, Pick),
    /// With or without a transaction id.
    Release(usize, Pick, Option<u8>),
    /// Car and lot: it comes to the barrier.
    Arrive(usize, usize),
    Depart(usize, usize),
    Refund(Pick),
    Wait(i64),
    /// Until the next window begins.
    WaitForWindow,
    /// The worker's search for no-shows.
    Sweep,
    /// The worker's search for windows whose spot is occupied.
    Reseat,
    List(usize),
}

/// Those of drivers, and three without accounts.
fn cars() -> std::ops::Range<usize> {
    0..CARS_OF_DRIVERS + 3
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS;
    let pick = |usual: State| {
        let own = |state: State| (0..8_usize).prop_map(move |k| Pick::Own(state, k));
        let settled = prop_oneof![own(State::Completed), own(State::Cancelled), own(State::Expired)];
        prop_oneof![10 => own(usual), 2 => settled, 1 => (0..12_usize).prop_map(Pick::Any)]
    };
    let paid = prop::option::of(0..2_u8);
    let start = prop_oneof![8 => Just(0), 8 => 1..20_i64, 8 => 20..400_i64, 1 => -3..0_i64];
    let length = prop_oneof![10 => 1..15_i64, 10 => 15..60_i64, 3 => 60..300_i64, 1 => -3..1_i64];
    prop_oneof![
        4 => (user.clone(), 0..=LOTS[0].len()).prop_map(|(user, lot)| Step::Book(user, lot)),
        6 => (user.clone(), 0..5_usize, any::<bool>(), start.clone(), length.clone())
            .prop_map(|(user, spot, any, start, length)| Step::Reserve(user, spot, any, start, length)),
        2 => (user.clone(), pick(State::Reserved), start, length)
            .prop_map(|(user, pick, start, length)| Step::Reschedule(user, pick, start, length)),
        2 => (user.clone(), pick(State::Reserved)).prop_map(|(user, pick)| Step::Cancel(user, pick)),
        4 => (user.clone(), pick(State::Reserved)).prop_map(|(user, pick)| Step::Occupy(user, pick)),
        3 => (user.clone(), pick(State::Active), paid).prop_map(|(user, pick, paid)| Step::Release(user, pick, paid)),
        3 => (cars(), 0..=LOTS[0].len()).prop_map(|(car, lot)| Step::Arrive(car, lot)),
        2 => (cars(), 0..=LOTS[0].len()).prop_map(|(car, lot)| Step::Depart(car, lot)),
        1 => pick(State::Completed).prop_map(Step::Refund),
        4 => prop_oneof![6 => 1..25_i64, 2 => Just(30), 1 => Just(60), 1 => 60..200_i64].prop_map(Step::Wait),
        2 => Just(Step::WaitForWindow),
        1 => Just(Step::Sweep),
        2 => Just(Step::Reseat),
        1 => user.prop_map(Step::List),
    ]
}

/// The application and the model.
struct Both<'a> {
    /// Tells apart the transactions of the cases, which share a database.
    number: usize,
    t: &'a TestApp,
    clock: &'a Clock,
    users: Vec<Driver>,
    lots: Vec<i64>,
    park: Park,
    refusals: &'a Refusals,
}

/// How often each code was answered.
type Refusals = Mutex<BTreeMap<&'static str, usize>>;

impl Both<'_> {
    async fn post(&self, user: usize, path: &str, body: Value) -> Answer {
        self.t.post(path, Some(&self.users[user]), body).await
    }

    fn refused(&self, answer: &Answer, status: u16, code: &'static str) {
        answer.problem(status, code);
        *self.refusals.lock().unwrap().entry(code).or_default() += 1;
    }

    fn id(&self, nth: usize) -> i64 {
        self.park.reservations.get(nth).map_or(999_999_999, |reservation| reservation.id)
    }

    async fn run(&mut self, step: &Step) {
        match *step {
            Step::Book(user, lot) => self.book(user, lot).await,
            Step::Reserve(user, spot, any, start, length) => {
                self.reserve(user, spot, any, start, length).await
            }
            Step::Reschedule(user, pick, start, length) => self.reschedule(user, pick, start, length).await,
            Step::Cancel(user, pick) => self.cancel(user, pick).await,
            Step::Occupy(user, pick) => self.occupy(user, pick).await,
            Step::Release(user, pick, paid) => self.release(user, pick, paid).await,
            Step::Arrive(car, lot) => self.arrive(car, lot).await,
            Step::Depart(car, lot) => self.depart(car, lot).await,
            Step::Refund(pick) => self.refund(pick).await,
            Step::Wait(minutes) => self.wait(TimeDelta::minutes(minutes)),
            Step::WaitForWindow => self.wait(self.park.until_next_window()),
            Step::Sweep => {
                bookings::expire_no_shows(&self.t.app).await.unwrap();
                self.park.sweep(|_| true);
            }
            Step::Reseat => {
                bookings::reseat_all(&self.t.app).await.unwrap();
                self.park.reseat();
            }
            Step::List(user) => self.list(user).await,
        }
    }

    fn wait(&mut self, time: TimeDelta) {
        self.clock.advance(time);
        self.park.now += time;
    }

    async fn book(&mut self, user: usize, lot: usize) {
        let id = self.lots.get(lot).copied().unwrap_or(999_999_999);
        let answer = self.post(user, "/booking/book-spot", json!({ "lot_id": id })).await;
        match self.park.book(user, lot) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok(spot) => {
                let booked = &answer.expect(201).body["reservation"];
                self.has_parked(booked, user, None, lot, spot);
            }
        }
    }

    fn has_parked(&mut self, booked: &Value, user: usize, guest: Option<usize>, lot: usize, spot: i64) {
        let now = self.park.now;
        assert_eq!(booked["spot_id"], spot);
        assert_eq!(booked["parking_time"], rfc3339(now));
        self.park.reservations.push(Reservation {
            id: booked["id"].as_i64().unwrap(),
            user,
            guest,
            lot,
            spot,
            state: State::Active,
            begin: now,
            end: None,
            arrived: Some(now),
            left: None,
            cost: 0,
            transaction: None,
            refunded: false,
        });
    }

    fn at_barrier(&self, car: usize, lot: usize) -> Value {
        let lot = self.lots.get(lot).copied().unwrap_or(999_999_999);
        json!({ "lot_id": lot, "plate": plate(self.number, car) })
    }

    async fn arrive(&mut self, car: usize, lot: usize) {
        let answer = self.post(USERS, "/attendant/arrivals", self.at_barrier(car, lot)).await;
        match self.park.arrive(car, lot) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok((Some((nth, after)), spot)) => {
                assert_eq!(answer.expect(201).body["reservation"]["spot_id"], spot);
                self.park.reservations[nth] = after;
            }
            Ok((None, spot)) => {
                let guest = Some(car).filter(|car| *car >= CARS_OF_DRIVERS);
                let user = if guest.is_some() { USERS } else { car };
                self.has_parked(&answer.expect(201).body["reservation"], user, guest, lot, spot);
            }
        }
    }

    async fn depart(&mut self, car: usize, lot: usize) {
        let answer = self.post(USERS, "/attendant/departures", self.at_barrier(car, lot)).await;
        match self.park.stay_of(car, lot) {
            None => self.refused(&answer, 404, "not_found"),
            Some(nth) => {
                let after =
                    self.park.release(self.park.reservations[nth].user, nth, None).expect("a running stay");
                let answer = answer.expect(200);
                assert_eq!(answer.body["reservation"]["id"], after.id);
                assert_eq!(minor(&answer.body["reservation"]["cost"]), after.cost);
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn refund(&mut self, pick: Pick) {
        let (_, nth) = self.park.pick(USERS, pick);
        let path = format!("/reservations/{}/refund", self.id(nth));
        let answer = self.post(USERS, &path, json!({ "reason": "flooded" })).await;
        match self.park.refund(nth) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok(after) => {
                assert_eq!(answer.expect(200).body["reservation"]["payment"]["state"], "refunded");
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn reserve(&mut self, user: usize, nth: usize, any: bool, start: i64, length: i64) {
        let spots: Vec<(usize, i64)> = (0..)
            .zip(&self.park.lots)
            .flat_map(|(lot, spots)| spots.iter().map(move |spot| (lot, *spot)))
            .collect();
        let (lot, spot) = spots[nth % spots.len()];
        let begin = self.park.now + TimeDelta::minutes(start);
        let end = begin + TimeDelta::minutes(length);
        let mut body = json!({ "parking_time": rfc3339(begin), "leaving_time": rfc3339(end) });
        if any {
            body["lot_id"] = self.lots[lot].into();
        } else {
            body["spot_id"] = spot.into();
        }
        let answer = self.post(user, "/reservations", body).await;
        match self.park.reserve(lot, Some(spot).filter(|_| !any), begin, end) {
            Err((status, code)) => {
                self.refused(&answer, status, code);
                let fits = any && status == 409 && self.park.fits_somewhere(lot, begin, end);
                assert!(!fits, "a window was refused although it fits");
            }
            Ok((spot, cost)) => {
                let made = &answer.expect(201).body["reservation"];
                assert_eq!(made["spot_id"], spot);
                let id = made["id"].as_i64().unwrap();
                assert_eq!((&made["status"], minor(&made["parking_cost"])), (&json!("reserved"), cost));
                self.park.reservations.push(Reservation {
                    id,
                    user,
                    guest: None,
                    lot,
                    spot,
                    state: State::Reserved,
                    begin,
                    end: Some(end),
                    arrived: None,
                    left: None,
                    cost,
                    transaction: None,
                    refunded: false,
                });
            }
        }
    }

    async fn reschedule(&mut self, user: usize, pick: Pick, start: i64, length: i64) {
        let (user, nth) = self.park.pick(user, pick);
        let begin = self.park.now + TimeDelta::minutes(start);
        let end = begin + TimeDelta::minutes(length);
        if self.park.reservations.get(nth).is_some_and(|one| one.state == State::Active) {
            return;
        }
        let body = json!({ "parking_time": rfc3339(begin), "leaving_time": rfc3339(end) });
        let path = format!("/reservations/{}", self.id(nth));
        let answer = self.t.patch(&path, Some(&self.users[user]), body).await;
        match self.park.reschedule(user, nth, begin, end) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok(after) => {
                let changed = &answer.expect(200).body["reservation"];
                assert_eq!(
                    (&changed["spot_id"], minor(&changed["parking_cost"])),
                    (&json!(after.spot), after.cost)
                );
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn cancel(&mut self, user: usize, pick: Pick) {
        let (user, nth) = self.park.pick(user, pick);
        let answer = self.t.delete(&format!("/reservations/{}", self.id(nth)), Some(&self.users[user])).await;
        match self.park.cancel(user, nth) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok(after) => {
                answer.expect(200);
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn occupy(&mut self, user: usize, pick: Pick) {
        let (user, nth) = self.park.pick(user, pick);
        let body = json!({ "reservation_id": self.id(nth) });
        let answer = self.post(user, "/booking/occupy-spot", body).await;
        match self.park.occupy(user, nth) {
            Err((status, code)) => {
                self.refused(&answer, status, code);
                assert!(
                    code != "spot_overstayed" || self.park.may_turn_away(nth),
                    "a punctual driver was refused"
                );
            }
            Ok(after) => {
                let answer = answer.expect(200);
                assert_eq!(answer.body["reservation"]["spot_id"], after.spot);
                assert_eq!(answer.body["reservation"]["parking_time"], rfc3339(self.park.now));
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn release(&mut self, user: usize, pick: Pick, paid: Option<u8>) {
        let (user, nth) = self.park.pick(user, pick);
        let transaction = paid.map(|paid| format!("TXN{}-{paid}", self.number));
        let body = json!({ "reservation_id": self.id(nth), "transaction_id": transaction });
        let answer = self.post(user, "/booking/release-spot", body).await;
        match self.park.release(user, nth, transaction.as_deref()) {
            Err((status, code)) => self.refused(&answer, status, code),
            Ok(after) => {
                let answer = answer.expect(200);
                let bill = &answer.body["reservation"];
                assert_eq!(minor(&bill["parking_cost"]), after.cost);
                assert_eq!(bill["leaving_time"], json!(after.left.map(rfc3339)));
                assert_eq!(bill["transaction_id"], json!(after.transaction));
                let hours = bill["charged_hours"].as_i64();
                let by_the_minute = self.park.is_by_the_minute(after.spot);
                assert_eq!(hours.map(|hours| hours * RATE), (!by_the_minute).then_some(after.cost));
                self.park.reservations[nth] = after;
            }
        }
    }

    async fn list(&self, user: usize) {
        let path = format!("/users/{}/reservations?state=all", self.users[user].id);
        let answer = self.t.get(&path, Some(&self.users[user])).await.expect(200);
        let listed: Vec<_> = (answer.body["reservations"].as_array().unwrap().iter())
            .map(|one| {
                let members = ["id", "spot_id", "status", "parking_time", "leaving_time", "transaction_id"];
                (members.map(|name| one[name].clone()), minor(&one["parking_cost"]))
            })
            .collect();
        let own = self.park.reservations.iter().filter(|reservation| reservation.user == user);
        let expected: Vec<_> = own
            .map(|one| {
                let members = [
                    json!(one.id),
                    json!(one.spot),
                    json!(format!("{:?}", one.state).to_lowercase()),
                    json!(rfc3339(one.parking_time())),
                    json!(one.leaving_time().map(rfc3339)),
                    json!(one.transaction),
                ];
                (members, one.cost)
            })
            .collect();
        assert_eq!(listed, expected);
    }

    async fn free_spots(&self) {
        for (lot, id) in self.lots.iter().enumerate() {
            let free = self.park.free(lot);
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

/// Cars of drivers have the plate of their vehicle, others one that no case repeats.
fn plate(case: usize, car: usize) -> String {
    format!("case {case} car {car}")
}

async fn case(
    (t, clock, refusals, admin): (&TestApp, &Clock, &Refusals, &Driver),
    number: usize,
    slots: [i64; 2],
    steps: &[Step],
) {
    let mut users = many_drivers(t, &format!("case{number}driver"), USERS).await;
    for (car, driver) in users.iter().enumerate().take(CARS_OF_DRIVERS) {
        let path = format!("/users/{}/vehicles", driver.id);
        t.post(&path, Some(driver), json!({ "plate": plate(number, car) })).await.expect(201);
    }
    users.push(admin.clone());
    let mut lots = Vec::new();
    let mut park = Park { lots: Vec::new(), reservations: Vec::new(), now: clock.now() };
    for slots in slots {
        let lot = t.lot(slots).await;
        lots.push(lot);
        park.lots.push(spots(t, lot).await);
    }
    let by_the_minute = json!({ "tariff": { "currency": "INR", "lines": [
        { "name": "Minute", "amount": RATE, "charge": { "kind": "step", "minutes": 1, "per_minutes": 60 } }] } });
    t.post(&format!("/admin/lots/{}/tariffs", lots[0]), Some(admin), by_the_minute).await.expect(201);
    let mut both = Both { number, t, clock, users, lots, park, refusals };
    for step in steps {
        let before: Vec<_> = (0..slots.len()).map(|lot| both.park.free_now(lot)).collect();
        both.run(step).await;
        both.free_spots().await;
        // Walk-ins and new windows must leave a free spot for every displaced window. Arrivals need not: a car on its own
        // spot displaces the next window there until it leaves.
        let after: Vec<_> = (0..slots.len()).map(|lot| both.park.free_now(lot)).collect();
        if matches!(step, Step::Book(..) | Step::Reserve(..) | Step::Reschedule(..)) {
            assert!(
                before.iter().zip(&after).all(|(before, after)| *after >= 0 || after >= before),
                "{step:?}: {before:?} became {after:?}"
            );
        }
    }
    for user in 0..USERS {
        both.list(user).await;
    }
}

/// Runs random steps through the router, from a fixed seed. A failing sequence is shrunk to the shortest one.
async fn any_sequence(engine: Engine, seed: u8) {
    let (started, refusals) = (Instant::now(), Refusals::default());
    let t = TestApp::start_with(engine, &[("SESSION_HOURS", "8000")]).await;
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let admin = t.admin().await;
    let (handle, count) = (Handle::current(), std::sync::atomic::AtomicUsize::new(0));
    block_in_place(|| {
        let config = Config {
            cases: size(Size::Schedules),
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let steps = prop::collection::vec(step(), size(Size::Steps) as usize);
        let schedules = (prop::sample::select(&LOTS[..]), steps);
        TestRunner::new_with_rng(config, rng).run(&schedules, |(slots, steps)| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let run = std::panic::AssertUnwindSafe(|| {
                handle.block_on(case((&t, &clock, &refusals, &admin), number, slots, &steps))
            });
            std::panic::catch_unwind(run).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".into());
                TestCaseError::fail(text)
            })
        })
    })
    .unwrap();
    t.is_sound().await;
    let (schedules, steps) = (size(Size::Schedules), size(Size::Steps));
    eprintln!(
        "seed {seed} on {engine:?}: {schedules} schedules of {steps} steps in {:.0?}; refused: {:?}",
        started.elapsed(),
        refusals.lock().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bookings_match_the_model_on_sqlite() {
    for seed in SEEDS {
        any_sequence(Engine::Sqlite, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bookings_match_the_model_on_postgres() {
    for seed in SEEDS {
        any_sequence(Engine::Postgres, seed).await;
    }
}
