//! A steady load of realistic requests, each recorded with its time, its outcome and its duration.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bench::report::{percentile, sorted};
use parking_lot::Mutex;
use rand::Rng;
use serde_json::{Value, json};
use shared::app::App;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::testbed::{Testbed, User};
use crate::{client::Client, fixtures};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Lots,
    Lot,
    Reservations,
    Book,
    Release,
    Export,
    /// The status of an export.
    Poll,
}

#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it was sent.
    pub at: Instant,
    pub kind: Kind,
    /// `None` without a response.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub millis: f64,
}

impl Call {
    /// Whether the server is to blame: a status of 5xx, or no response.
    pub fn failed(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

/// The calls sent in some period.
#[derive(Debug, Clone)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// Failed calls by kind and status.
    pub fn failures(&self) -> BTreeMap<(Kind, Option<u16>), usize> {
        let mut failures = BTreeMap::new();
        for call in self.0.iter().filter(|call| call.failed()) {
            *failures.entry((call.kind, call.status)).or_default() += 1;
        }
        failures
    }

    /// The time in milliseconds within which this share of the calls was answered.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&sorted(self.0.iter().map(|call| call.millis).collect()), share)
    }

    /// Their number and durations, as a line of text.
    pub fn summary(&self) -> String {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.percentile(share));
        format!("{:>5} calls, p50 {p50:.1} ms, p99 {p99:.1}, longest {max:.1}", self.0.len())
    }
}

/// Clients that send requests until they are stopped.
pub struct Load {
    record: Arc<Record>,
    clients: JoinSet<Result<()>>,
}

#[derive(Default)]
struct Record {
    calls: Mutex<Vec<Call>>,
    exports: Mutex<Vec<Uuid>>,
    booked: Mutex<Vec<i64>>,
    released: Mutex<Vec<i64>>,
    stop: AtomicBool,
}

impl Load {
    /// One client per user, at these addresses in turn, with about this pause before each request. Three in four book and
    /// release, the others request exports.
    pub fn start(testbed: &Testbed, addresses: &[String], users: Vec<User>, pause: Duration) -> Self {
        let (record, mut clients) = (Arc::new(Record::default()), JoinSet::new());
        for (number, (user, address)) in users.into_iter().zip(addresses.iter().cycle()).enumerate() {
            let client = Client::new(address, user.token.clone());
            let (app, lot, record) = (testbed.app.clone(), testbed.lot, record.clone());
            let mut caller = Caller { app, lot, user, client, record, pause };
            clients.spawn(async move {
                while !caller.record.stop.load(Ordering::Relaxed) {
                    if number % 4 == 3 { caller.export().await? } else { caller.drive().await? }
                }
                Ok(())
            });
        }
        Self { record, clients }
    }

    /// The calls sent since `from` and before `until`.
    pub fn between(&self, from: Instant, until: Instant) -> Calls {
        Calls(
            self.record
                .calls
                .lock()
                .iter()
                .filter(|call| (from..until).contains(&call.at))
                .copied()
                .collect(),
        )
    }

    /// The accepted exports.
    pub fn exports(&self) -> Vec<Uuid> {
        self.record.exports.lock().clone()
    }

    /// The acknowledged bookings.
    pub fn booked(&self) -> Vec<i64> {
        self.record.booked.lock().clone()
    }

    /// The acknowledged departures.
    pub fn released(&self) -> Vec<i64> {
        self.record.released.lock().clone()
    }

    /// Waits for the responses to the last requests.
    pub async fn stop(&mut self) -> Result<()> {
        self.record.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client??;
        }
        Ok(())
    }
}

struct Caller {
    app: App,
    lot: i64,
    user: User,
    client: Client,
    record: Arc<Record>,
    pause: Duration,
}

impl Caller {
    /// Looks at the lots, books and releases.
    async fn drive(&mut self) -> Result<()> {
        self.get(Kind::Lots, "/api/parking-lots").await;
        let lot = self.lot;
        self.get(Kind::Lot, &format!("/api/parking-lots/{lot}")).await;
        let id = self.user.id;
        self.get(Kind::Reservations, &format!("/api/users/{id}/reservations?limit=20")).await;
        let booked = self.post(Kind::Book, "/api/booking/book-spot", &json!({ "lot_id": lot })).await;
        let active = match booked {
            Some((201, response)) => {
                let id = response["reservation"]["id"].as_i64().context("a response without an id")?;
                self.record.booked.lock().push(id);
                Some(id)
            }
            // Without a response, the driver has to check whether the booking was made.
            _ => tokio::time::timeout(Duration::from_secs(2), fixtures::active_reservation(&self.app, id))
                .await
                .unwrap_or(Ok(None))
                .unwrap_or(None),
        };
        if let Some(active) = active {
            let body = json!({ "reservation_id": active });
            if let Some((200, _)) = self.post(Kind::Release, "/api/booking/release-spot", &body).await {
                self.record.released.lock().push(active);
            }
        }
        Ok(())
    }

    /// Requests an export and polls it for a while.
    async fn export(&mut self) -> Result<()> {
        let response = self.post(Kind::Export, "/api/export/csv/request", &json!({})).await;
        if let Some((202, response)) = response {
            let id: Uuid = response["task_id"].as_str().context("a response without an id")?.parse()?;
            self.record.exports.lock().push(id);
            for _ in 0..5 {
                self.get(Kind::Poll, &format!("/api/tasks/{id}")).await;
            }
        }
        Ok(())
    }

    async fn get(&mut self, kind: Kind, path: &str) -> Option<(u16, Value)> {
        let at = self.pause().await;
        let response = self.client.get(path).await;
        self.record(kind, at, response)
    }

    async fn post(&mut self, kind: Kind, path: &str, body: &Value) -> Option<(u16, Value)> {
        let at = self.pause().await;
        let response = self.client.post(path, body, None).await;
        self.record(kind, at, response)
    }

    async fn pause(&self) -> Instant {
        let pause = self.pause.mul_f64(rand::rng().random_range(0.5..1.5));
        tokio::time::sleep(pause).await;
        Instant::now()
    }

    fn record(&self, kind: Kind, at: Instant, response: Option<(u16, Value)>) -> Option<(u16, Value)> {
        let (status, millis) =
            (response.as_ref().map(|(status, _)| *status), at.elapsed().as_secs_f64() * 1e3);
        self.record.calls.lock().push(Call { at, kind, status, millis });
        response
    }
}
