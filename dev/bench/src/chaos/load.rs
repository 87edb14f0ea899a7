//! Who asks for jobs during a chaos run, and what they were answered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use shared::{
    jobs::{NewJob, ledger, queue},
    parking::accounts::session,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    kinds::{Upkeep, Work},
    site::Site,
};
use crate::people::{Client, history, lot, parked, user};

/// What was asked for, as those saw it who asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// Bookings that were confirmed.
    pub booked: Vec<i64>,
    /// Stays that were billed.
    pub released: Vec<i64>,
    /// Exports that were promised.
    pub exports: Vec<Uuid>,
    /// Exports whose cancellation was promised.
    pub cancelled: Vec<Uuid>,
    /// Jobs committed without HTTP.
    pub committed: Vec<Uuid>,
    /// Jobs rolled back, though announced.
    pub rolled_back: Vec<Uuid>,
    /// Requests that were refused: they must have asked for nothing.
    pub refused: u64,
    /// Requests whose answer never came.
    pub unknown: u64,
    /// Requests sent again under their key, and answered again.
    pub replayed: u64,
    /// The same, answered differently.
    pub replayed_differently: u64,
    /// Export requests while Redis was away, and how many were accepted.
    pub without_redis: (u64, u64),
    /// Answers that nobody should get.
    pub surprises: Vec<String>,
}

/// Everybody who asks.
pub struct Load {
    site: Arc<Site>,
    asked: Mutex<Asked>,
    stop: AtomicBool,
    /// A lot with room for everybody.
    lot: i64,
    /// Whose exports are asked for.
    pub courier: i64,
}

const DRIVERS: u64 = 4;
const TRIES: u32 = 6;

impl Load {
    /// Prepares the people and their lot.
    pub async fn new(site: &Arc<Site>) -> Result<Arc<Self>> {
        let lot = lot(&site.app, 50).await?;
        let courier = user(&site.app).await?;
        history(&site.app, courier, lot).await?;
        let (asked, stop) = (Mutex::default(), AtomicBool::new(false));
        Ok(Arc::new(Self { site: site.clone(), asked, stop, lot, courier }))
    }

    /// What was asked so far.
    pub fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody starts to ask.
    pub async fn start(self: &Arc<Self>, seed: u64) -> Result<JoinSet<Result<()>>> {
        let mut everybody = JoinSet::new();
        for number in 0..DRIVERS {
            let id = user(&self.site.app).await?;
            let token = self.log_in(id).await?;
            everybody.spawn(self.clone().drive(id, token, seed.wrapping_add(number)));
        }
        let token = self.log_in(self.courier).await?;
        everybody.spawn(self.clone().export(token, seed));
        everybody.spawn(self.clone().commit(seed));
        Ok(everybody)
    }

    async fn log_in(&self, user: i64) -> Result<String> {
        let app = &self.site.app;
        Ok(session::open(app, app.db.write(), user, None).await?)
    }

    /// Nobody asks for more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// A driver who books and leaves, again and again, and sometimes asks for what cannot be.
    async fn drive(self: Arc<Self>, id: i64, token: String, seed: u64) -> Result<()> {
        let mut client = Client::new(&self.site.address, token);
        let mut rng = StdRng::seed_from_u64(seed);
        while self.goes_on() {
            let (key, body) = (Uuid::new_v4().to_string(), json!({ "lot_id": self.lot }));
            let mut booked = self.insist(&mut client, "/api/booking/book-spot", &body, Some(&key)).await;
            if booked.is_some() && rng.random_bool(0.1) {
                let again = self.insist(&mut client, "/api/booking/book-spot", &body, Some(&key)).await;
                let id =
                    |answer: &Option<(u16, Value)>| answer.as_ref().map(|a| a.1["reservation"]["id"].clone());
                if again.is_some() {
                    let mut asked = self.asked();
                    asked.replayed += 1;
                    asked.replayed_differently += u64::from(id(&again) != id(&booked));
                }
            }
            let reservation = match booked.take() {
                Some((201, answer)) => answer["reservation"]["id"].as_i64(),
                _ => None,
            };
            self.asked().booked.extend(reservation);
            // Of an answer that never came nobody knows, so the driver looks whether the car is parked.
            let parked = match reservation {
                Some(id) => Some(id),
                None => parked(&self.site.app, id).await?,
            };
            if let Some(parked) = parked {
                tokio::time::sleep(Duration::from_millis(rng.random_range(10..60))).await;
                let leave = json!({ "reservation_id": parked });
                for _ in 0..if rng.random_bool(0.1) { 2 } else { 1 } {
                    let left = self.insist(&mut client, "/api/booking/release-spot", &leave, None).await;
                    if left.is_some_and(|(status, _)| status == 200) {
                        self.asked().released.push(parked);
                    }
                }
            }
            if rng.random_bool(0.3) {
                let nowhere = json!({ "lot_id": 999_999 });
                self.insist(&mut client, "/api/booking/book-spot", &nowhere, None).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..300))).await;
        }
        Ok(())
    }

    /// Sends a request that may be repeated until it is answered. `None`: it never was.
    async fn insist(
        &self,
        client: &mut Client,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        for _ in 0..TRIES {
            match client.post(path, body, key).await {
                Some((status @ (200..=202), answer)) => return Some((status, answer)),
                // Under its key, somebody who is dead by now may be answering.
                Some((409, answer))
                    if answer["code"].as_str().is_some_and(|code| code == "request_in_flight") => {}
                Some((status @ (400..=499), _)) => {
                    self.asked().refused += 1;
                    if ![404, 409].contains(&status) {
                        self.asked().surprises.push(format!("{path} answered {status}"));
                    }
                    return None;
                }
                // Neither an answer of 5xx nor a broken connection says whether it was done.
                Some(_) | None => {
                    self.asked().unknown += 1;
                    client.connection = None;
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        None
    }

    /// A courier who asks for exports, and gives some of them up.
    async fn export(self: Arc<Self>, token: String, seed: u64) -> Result<()> {
        let mut client = Client::new(&self.site.address, token);
        let mut rng = StdRng::seed_from_u64(seed ^ 1);
        while self.goes_on() {
            let away = self.site.redis_is_away.load(Ordering::SeqCst);
            let mut answer = client.post("/api/export/csv/request", &json!({}), None).await;
            // Not for want of Redis: the database was busy for longer than a caller waits.
            for _ in 0..3 {
                if answer.as_ref().is_some_and(|(status, _)| *status == 503) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    answer = client.post("/api/export/csv/request", &json!({}), None).await;
                }
            }
            let still_away = away && self.site.redis_is_away.load(Ordering::SeqCst);
            let id = answer
                .as_ref()
                .filter(|(status, _)| *status == 202)
                .and_then(|(_, answer)| answer["task_id"].as_str().and_then(|id| id.parse::<Uuid>().ok()));
            self.note_export(id, still_away && answer.is_some());
            if let Some(id) = id.filter(|_| rng.random_bool(0.25)) {
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
                let path = format!("/api/export/csv/cancel/{id}");
                if client.post(&path, &json!({}), None).await.is_some_and(|(status, _)| status == 200) {
                    self.asked().cancelled.push(id);
                }
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(400..1_200))).await;
        }
        Ok(())
    }

    fn note_export(&self, id: Option<Uuid>, without_redis: bool) {
        let mut asked = self.asked();
        if without_redis {
            asked.without_redis.0 += 1;
            asked.without_redis.1 += u64::from(id.is_some());
        }
        match id {
            Some(id) => asked.exports.push(id),
            None => asked.unknown += 1,
        }
    }

    /// Somebody who asks for many small jobs, some longer ones, and changes their mind about others.
    async fn commit(self: Arc<Self>, seed: u64) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(seed ^ 2);
        for round in 0_u32.. {
            if !self.goes_on() {
                break;
            }
            let (app, now) = (&self.site.app, self.site.app.clock.now());
            let mut jobs = Vec::new();
            for _ in 0..4 {
                jobs.push(NewJob::of(&Work { millis: 0 })?);
            }
            jobs.push(NewJob::of(&Upkeep {})?);
            if round.is_multiple_of(6) {
                jobs.push(NewJob::of(&Work { millis: rng.random_range(1_000..3_000) })?);
            }
            let rolled_back = round % 3 == 1;
            let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
            // An error of the commit says nothing, and neither is said of such jobs: what is there must run.
            let written = async {
                let tx = app.db.begin().await?;
                let mut enqueued = Vec::new();
                for job in &jobs {
                    enqueued.push(ledger::insert(&tx, now, job).await?);
                }
                if rolled_back {
                    tx.rollback().await?
                } else {
                    tx.commit().await?
                }
                anyhow::Ok(enqueued)
            };
            if let Ok(enqueued) = written.await {
                let mut asked = self.asked();
                if rolled_back { &mut asked.rolled_back } else { &mut asked.committed }.extend(ids);
                // Half of them are left to the relay; those rolled back are announced although they should not be.
                if rolled_back || rng.random_bool(0.5) {
                    queue::announce_soon(app, enqueued);
                }
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..200))).await;
        }
        Ok(())
    }
}
