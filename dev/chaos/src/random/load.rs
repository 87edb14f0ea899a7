//! The clients of a run, and what they were told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use parking_lot::{Mutex, MutexGuard};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use shared::{
    jobs::{NewJob, ledger, queue},
    parking::accounts::session,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    cluster::Cluster,
    worker::{Upkeep, Work},
};
use crate::{
    client::Client,
    fixtures::{active_reservation, history, lot, user},
};

/// What the clients requested, as far as they know.
#[derive(Debug, Default)]
pub struct Requests {
    /// Confirmed bookings.
    pub booked: Vec<i64>,
    /// Confirmed releases.
    pub released: Vec<i64>,
    /// Accepted exports.
    pub exports: Vec<Uuid>,
    /// Exports whose cancellation was confirmed.
    pub cancelled: Vec<Uuid>,
    /// Jobs committed without the API.
    pub committed: Vec<Uuid>,
    /// Jobs rolled back, although they were announced.
    pub rolled_back: Vec<Uuid>,
    /// Requests answered with 4xx, which must have had no effect.
    pub rejected: u64,
    /// Requests without a response, or with 5xx.
    pub unknown: u64,
    /// Successful requests that were repeated with the same idempotency key.
    pub replayed: u64,
    /// Of these, those with another response.
    pub replayed_differently: u64,
    /// Exports requested while Redis was away, and how many of them were accepted.
    pub without_redis: (u64, u64),
    /// Responses that no client should get.
    pub unexpected: Vec<String>,
}

/// The clients: drivers, a user with exports, and one that commits jobs straight to the ledger.
pub struct Load {
    cluster: Arc<Cluster>,
    requests: Mutex<Requests>,
    stop: AtomicBool,
    /// Has more spots than there are drivers.
    lot: i64,
    /// The user with exports.
    pub exporter: i64,
}

const DRIVERS: u64 = 4;
const ATTEMPTS: u32 = 6;

impl Load {
    pub async fn new(cluster: &Arc<Cluster>) -> Result<Arc<Self>> {
        let lot = lot(&cluster.app, 50).await?;
        let exporter = user(&cluster.app).await?;
        history(&cluster.app, exporter, lot).await?;
        let (requests, stop) = (Mutex::default(), AtomicBool::new(false));
        Ok(Arc::new(Self { cluster: cluster.clone(), requests, stop, lot, exporter }))
    }

    pub fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock()
    }

    /// Starts all clients.
    pub async fn start(self: &Arc<Self>, seed: u64) -> Result<JoinSet<Result<()>>> {
        let mut clients = JoinSet::new();
        for number in 0..DRIVERS {
            let id = user(&self.cluster.app).await?;
            let token = self.log_in(id).await?;
            clients.spawn(self.clone().drive(id, token, seed.wrapping_add(number)));
        }
        let token = self.log_in(self.exporter).await?;
        clients.spawn(self.clone().export(token, seed));
        clients.spawn(self.clone().commit(seed));
        Ok(clients)
    }

    async fn log_in(&self, user: i64) -> Result<String> {
        let app = &self.cluster.app;
        Ok(session::open(app, app.db.write(), user, None).await?)
    }

    /// The clients end after their current request.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn is_running(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// A driver who books and releases, sometimes repeats a request, and sometimes sends an invalid one.
    async fn drive(self: Arc<Self>, id: i64, token: String, seed: u64) -> Result<()> {
        let mut client = Client::new(&self.cluster.address, token);
        let mut rng = StdRng::seed_from_u64(seed);
        while self.is_running() {
            let booked = self.book(&mut client, &mut rng).await;
            // Without a response, the driver has to check whether the booking was made.
            let active = match booked {
                Some(id) => Some(id),
                None => active_reservation(&self.cluster.app, id).await?,
            };
            if let Some(active) = active {
                tokio::time::sleep(Duration::from_millis(rng.random_range(10..60))).await;
                let release = json!({ "reservation_id": active });
                for _ in 0..if rng.random_bool(0.1) { 2 } else { 1 } {
                    let released = self.send(&mut client, "/api/booking/release-spot", &release, None).await;
                    if released.is_some_and(|(status, _)| status == 200) {
                        self.requests().released.push(active);
                    }
                }
            }
            if rng.random_bool(0.3) {
                let no_such_lot = json!({ "lot_id": 999_999 });
                self.send(&mut client, "/api/booking/book-spot", &no_such_lot, None).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..300))).await;
        }
        Ok(())
    }

    /// Books a spot, now and then twice with the same key. Returns the reservation if the booking was confirmed.
    async fn book(&self, client: &mut Client, rng: &mut StdRng) -> Option<i64> {
        let (key, body) = (Uuid::new_v4().to_string(), json!({ "lot_id": self.lot }));
        let booked = self.send(client, "/api/booking/book-spot", &body, Some(&key)).await;
        let id = |response: &Option<(u16, Value)>| response.as_ref()?.1["reservation"]["id"].as_i64();
        if booked.is_some() && rng.random_bool(0.1) {
            let replayed = self.send(client, "/api/booking/book-spot", &body, Some(&key)).await;
            if replayed.is_some() {
                let mut requests = self.requests();
                requests.replayed += 1;
                requests.replayed_differently += u64::from(id(&replayed) != id(&booked));
            }
        }
        let reservation = id(&booked);
        self.requests().booked.extend(reservation);
        reservation
    }

    /// Repeats a request, which must be idempotent, until it succeeds or is rejected. `None` if it never succeeds.
    async fn send(
        &self,
        client: &mut Client,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        for _ in 0..ATTEMPTS {
            match client.post(path, body, key).await {
                Some((status @ (200..=202), response)) => return Some((status, response)),
                // The first request with this key may still hold it, even if its process was killed.
                Some((409, response))
                    if response["code"].as_str().is_some_and(|code| code == "request_in_flight") => {}
                Some((status @ (400..=499), _)) => {
                    self.requests().rejected += 1;
                    if ![404, 409].contains(&status) {
                        self.requests().unexpected.push(format!("{path}: status {status}"));
                    }
                    return None;
                }
                // Whether it had an effect is unknown.
                Some(_) | None => {
                    self.requests().unknown += 1;
                    client.disconnect();
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        None
    }

    /// A user who requests exports, and cancels some of them.
    async fn export(self: Arc<Self>, token: String, seed: u64) -> Result<()> {
        let mut client = Client::new(&self.cluster.address, token);
        let mut rng = StdRng::seed_from_u64(seed ^ 1);
        while self.is_running() {
            let away = self.cluster.redis_is_away.load(Ordering::SeqCst);
            let mut response = client.post("/api/export/csv/request", &json!({}), None).await;
            // 503 does not mean that Redis is away: the database was busy for too long.
            for _ in 0..3 {
                if response.as_ref().is_some_and(|(status, _)| *status == 503) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    response = client.post("/api/export/csv/request", &json!({}), None).await;
                }
            }
            let still_away = away && self.cluster.redis_is_away.load(Ordering::SeqCst);
            let id = response.as_ref().filter(|(status, _)| *status == 202).and_then(|(_, response)| {
                response["task_id"].as_str().and_then(|id| id.parse::<Uuid>().ok())
            });
            self.note_export(id, still_away && response.is_some());
            if let Some(id) = id.filter(|_| rng.random_bool(0.25)) {
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
                let path = format!("/api/export/csv/cancel/{id}");
                if client.post(&path, &json!({}), None).await.is_some_and(|(status, _)| status == 200) {
                    self.requests().cancelled.push(id);
                }
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(400..1_200))).await;
        }
        Ok(())
    }

    fn note_export(&self, id: Option<Uuid>, without_redis: bool) {
        let mut requests = self.requests();
        if without_redis {
            requests.without_redis.0 += 1;
            requests.without_redis.1 += u64::from(id.is_some());
        }
        match id {
            Some(id) => requests.exports.push(id),
            None => requests.unknown += 1,
        }
    }

    /// Commits many short jobs and some long ones, and rolls others back.
    async fn commit(self: Arc<Self>, seed: u64) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(seed ^ 2);
        for round in 0_u32.. {
            if !self.is_running() {
                break;
            }
            let (app, now) = (&self.cluster.app, self.cluster.app.clock.now());
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
            // After a failed commit it is unknown whether the jobs are there, so they are not counted at all.
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
                let mut requests = self.requests();
                if rolled_back { &mut requests.rolled_back } else { &mut requests.committed }.extend(ids);
                // Half of them are left to the relay. Those rolled back are announced by mistake, on purpose.
                if rolled_back || rng.random_bool(0.5) {
                    queue::announce_soon(app, enqueued);
                }
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..200))).await;
        }
        Ok(())
    }
}
