//! A steady load of real calls, each written down: when, what, how it was answered and how long that took.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::{Value, json};
use shared::app::App;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ground::{Ground, Person};
use crate::{
    people::{self, Client},
    report::{percentile, sorted},
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The list of lots.
    Lots,
    /// One lot.
    Lot,
    /// The caller's reservations.
    Reservations,
    /// To begin a session.
    Book,
    /// To end it.
    Release,
    /// For an export.
    Export,
    /// How the export is coming on.
    Poll,
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it was made.
    pub at: Instant,
    /// What was asked.
    pub kind: Kind,
    /// The answer; `None` when there was none.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub millis: f64,
}

impl Call {
    /// Whether the server is to blame: no answer, or one of 5xx.
    pub fn failed(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

/// Calls of some time.
#[derive(Debug, Clone)]
pub struct Seen(pub Vec<Call>);

impl Seen {
    /// How many were answered with 5xx or not at all, by kind and status.
    pub fn failures(&self) -> BTreeMap<(Kind, Option<u16>), usize> {
        let mut failures = BTreeMap::new();
        for call in self.0.iter().filter(|call| call.failed()) {
            *failures.entry((call.kind, call.status)).or_default() += 1;
        }
        failures
    }

    /// The time below which this share of the calls was answered, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&sorted(self.0.iter().map(|call| call.millis).collect()), share)
    }

    /// How many there were and how long they took.
    pub fn line(&self) -> String {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.percentile(share));
        format!("{:>5} calls, p50 {p50:.1} ms, p99 {p99:.1}, longest {max:.1}", self.0.len())
    }
}

/// People who call, until they are told to stop.
pub struct Load {
    notes: Arc<Notes>,
    callers: JoinSet<Result<()>>,
}

#[derive(Default)]
struct Notes {
    calls: Mutex<Vec<Call>>,
    exports: Mutex<Vec<Uuid>>,
    stop: AtomicBool,
}

impl Load {
    /// Everybody makes a call each `pause`, more or less; people and addresses are dealt out. One in four asks for
    /// exports, the others book and leave.
    pub fn start(ground: &Ground, addresses: &[String], people: Vec<Person>, pause: Duration) -> Self {
        let (notes, mut callers) = (Arc::new(Notes::default()), JoinSet::new());
        for (number, (person, address)) in people.into_iter().zip(addresses.iter().cycle()).enumerate() {
            let client = Client::new(address, person.token.clone());
            let (app, lot, notes) = (ground.app.clone(), ground.lot, notes.clone());
            let mut caller = Caller { app, lot, person, client, notes, pause };
            callers.spawn(async move {
                while !caller.notes.stop.load(Ordering::Relaxed) {
                    if number % 4 == 3 { caller.export().await? } else { caller.drive().await? }
                }
                Ok(())
            });
        }
        Self { notes, callers }
    }

    /// The calls made since `from` and before `until`.
    pub fn between(&self, from: Instant, until: Instant) -> Seen {
        Seen(
            lock(&self.notes.calls).iter().filter(|call| (from..until).contains(&call.at)).copied().collect(),
        )
    }

    /// Exports that were promised so far.
    pub fn exports(&self) -> Vec<Uuid> {
        lock(&self.notes.exports).clone()
    }

    /// Waits until everybody has had their last answer.
    pub async fn stop(&mut self) -> Result<()> {
        self.notes.stop.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller??;
        }
        Ok(())
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Caller {
    app: App,
    lot: i64,
    person: Person,
    client: Client,
    notes: Arc<Notes>,
    pause: Duration,
}

impl Caller {
    /// Looks around, parks, and leaves.
    async fn drive(&mut self) -> Result<()> {
        self.get(Kind::Lots, "/api/parking-lots").await;
        let lot = self.lot;
        self.get(Kind::Lot, &format!("/api/parking-lots/{lot}")).await;
        let id = self.person.id;
        self.get(Kind::Reservations, &format!("/api/users/{id}/reservations?limit=20")).await;
        let booked = self.post(Kind::Book, "/api/booking/book-spot", &json!({ "lot_id": lot })).await;
        let parked = match booked {
            Some((201, answer)) => Some(answer["reservation"]["id"].as_i64().context("an id")?),
            // Of an answer that never came nobody knows, so the driver looks whether the car is parked.
            _ => tokio::time::timeout(Duration::from_secs(2), people::parked(&self.app, id))
                .await
                .unwrap_or(Ok(None))
                .unwrap_or(None),
        };
        if let Some(parked) = parked {
            let body = json!({ "reservation_id": parked });
            self.post(Kind::Release, "/api/booking/release-spot", &body).await;
        }
        Ok(())
    }

    /// Asks for an export and follows it for a while.
    async fn export(&mut self) -> Result<()> {
        let answer = self.post(Kind::Export, "/api/export/csv/request", &json!({})).await;
        if let Some((202, answer)) = answer {
            let id: Uuid = answer["task_id"].as_str().context("an id")?.parse()?;
            lock(&self.notes.exports).push(id);
            for _ in 0..5 {
                self.get(Kind::Poll, &format!("/api/tasks/{id}")).await;
            }
        }
        Ok(())
    }

    async fn get(&mut self, kind: Kind, path: &str) -> Option<(u16, Value)> {
        let at = self.begin().await;
        let answer = self.client.get(path).await;
        self.note(kind, at, answer)
    }

    async fn post(&mut self, kind: Kind, path: &str, body: &Value) -> Option<(u16, Value)> {
        let at = self.begin().await;
        let answer = self.client.post(path, body, None).await;
        self.note(kind, at, answer)
    }

    async fn begin(&self) -> Instant {
        let pause = self.pause.mul_f64(rand::rng().random_range(0.5..1.5));
        tokio::time::sleep(pause).await;
        Instant::now()
    }

    fn note(&self, kind: Kind, at: Instant, answer: Option<(u16, Value)>) -> Option<(u16, Value)> {
        let (status, millis) = (answer.as_ref().map(|(status, _)| *status), at.elapsed().as_secs_f64() * 1e3);
        lock(&self.notes.calls).push(Call { at, kind, status, millis });
        answer
    }
}
