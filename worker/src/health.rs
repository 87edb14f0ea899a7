//! What a worker must reach to be healthy, and when it last did.

use std::{collections::HashSet, sync::Arc, time::Instant};

use parking_lot::Mutex;
use shared::jobs::Queue;

/// What a healthy worker reaches, and agrees with about the time.
pub(crate) const PARTS: [&str; 4] = ["database", "redis", "consumers", "clock"];

/// What `/health` reports. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    pub(crate) consumers: Arc<Mutex<HashSet<(Queue, String)>>>,
    /// When each of [`PARTS`] was last reached.
    pub(crate) reached: Arc<Mutex<[Instant; PARTS.len()]>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { consumers: Arc::default(), reached: Arc::new(Mutex::new([Instant::now(); PARTS.len()])) }
    }
}

impl Health {
    /// Expects heartbeats of a consumer until the guard is dropped.
    #[must_use]
    pub fn expect_consumer(&self, queue: Queue, name: &str) -> ExpectedConsumer {
        let entry = (queue, name.to_owned());
        self.consumers.lock().insert(entry.clone());
        ExpectedConsumer { health: self.clone(), entry }
    }
}

/// A consumer that should be alive.
#[derive(Debug)]
pub struct ExpectedConsumer {
    health: Health,
    entry: (Queue, String),
}

impl Drop for ExpectedConsumer {
    fn drop(&mut self) {
        self.health.consumers.lock().remove(&self.entry);
    }
}
