//! What a worker tells of itself over HTTP: `/metrics` for Prometheus, and `/health` for whoever restarts it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics::{counter, gauge, histogram};
use serde_json::{Value, json};
use shared::{
    Result,
    jobs::{Queue, backlog, policy::Verdict, queue},
    platform::metrics::{self as names, Exporter},
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::Worker;

/// A worker that has not reached something for longer is not well.
const PATIENCE: Duration = Duration::from_secs(15);

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Mails take milliseconds, exports minutes.
const BUCKETS: [f64; 11] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

/// What a worker must reach to be well.
const PARTS: [&str; 3] = ["database", "redis", "consumers"];

/// Signs of life of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vitals {
    consumers: Arc<Mutex<HashSet<(Queue, String)>>>,
    /// When each of [`PARTS`] was last reached.
    reached: Arc<Mutex<[Instant; PARTS.len()]>>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self { consumers: Arc::default(), reached: Arc::new(Mutex::new([Instant::now(); PARTS.len()])) }
    }
}

impl Vitals {
    /// Expects a consumer to be alive until the guard is dropped.
    #[must_use]
    pub fn consumer(&self, queue: Queue, name: &str) -> Consumer {
        let entry = (queue, name.to_owned());
        self.consumers().insert(entry.clone());
        Consumer { vitals: self.clone(), entry }
    }

    fn consumers(&self) -> MutexGuard<'_, HashSet<(Queue, String)>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self) -> MutexGuard<'_, [Instant; PARTS.len()]> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer that ought to be alive.
#[derive(Debug)]
pub struct Consumer {
    vitals: Vitals,
    entry: (Queue, String),
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.vitals.consumers().remove(&self.entry);
    }
}

/// A run of a job, which counts as running until it is dropped.
#[derive(Debug)]
pub struct Run {
    kind: &'static str,
    begun: Instant,
}

impl Run {
    /// Begins one.
    #[must_use]
    pub fn begin(kind: &'static str) -> Self {
        gauge!(names::JOBS_RUNNING, "kind" => kind).increment(1);
        Self { kind, begun: Instant::now() }
    }

    /// Ends it; `None` when somebody else has the job now.
    pub fn end(self, verdict: Option<Verdict>) {
        counter!(names::JOBS, "kind" => self.kind, "outcome" => outcome_name(verdict)).increment(1);
        histogram!(names::JOB_SECONDS, "kind" => self.kind).record(self.begun.elapsed());
    }
}

/// How a run ended, in a word; `None` when somebody else has the job now.
pub(crate) const fn outcome_name(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Succeed) => "succeeded",
        Some(Verdict::Fail) => "failed",
        Some(Verdict::Retry(_)) => "retried",
        Some(Verdict::Cancel) => "cancelled",
        Some(Verdict::Release) => "released",
        Some(Verdict::Postpone(_)) => "postponed",
        None => "lease_lost",
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        gauge!(names::JOBS_RUNNING, "kind" => self.kind).decrement(1);
    }
}

/// Collects and serves at `WORKER_METRICS_ADDR`, if there is one, until the returned tasks are dropped.
///
/// # Errors
/// When the address cannot be had, or this process collects already.
pub async fn start(worker: &Worker) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let Some(address) = worker.app.config.operations.worker_metrics_addr else { return Ok(tasks) };
    let collected = Exporter::install(names::JOB_SECONDS, &BUCKETS)?;
    begin_at_nought(worker);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .with_state((collected, worker.vitals.clone()));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    let worker = worker.clone();
    tasks.spawn(async move {
        // Consumers need a moment to show up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        loop {
            look(&worker).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    Ok(tasks)
}

/// Counters that are there before they count: the first event is then seen as a rise.
fn begin_at_nought(worker: &Worker) {
    for kind in worker.registry.names() {
        gauge!(names::JOBS_RUNNING, "kind" => kind).set(0);
        for outcome in names::OUTCOMES {
            counter!(names::JOBS, "kind" => kind, "outcome" => outcome).absolute(0);
        }
    }
    for outcome in names::MAIL_OUTCOMES {
        counter!(names::MAILS, "outcome" => outcome).absolute(0);
    }
    for queue in Queue::ALL {
        counter!(names::CONSUMER_RESTARTS, "queue" => queue.name()).absolute(0);
    }
}

async fn metrics(State((collected, _)): State<(Exporter, Vitals)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], collected.text())
}

async fn health(State((_, vitals)): State<(Exporter, Vitals)>) -> (StatusCode, Json<Value>) {
    let silent = vitals.reached().map(|reached| reached.elapsed());
    let is_well = silent.iter().all(|silent| *silent <= PATIENCE);
    let (code, status) =
        if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let parts: serde_json::Map<String, Value> = PARTS
        .into_iter()
        .zip(silent)
        .map(|(part, silent)| (part.to_owned(), json!({ "seconds_since_reached": silent.as_secs() })))
        .collect();
    (code, Json(json!({ "status": status, "parts": parts })))
}

/// Looks into the ledger and after the consumers.
async fn look(worker: &Worker) {
    let (ledger, redis, consumers) =
        tokio::join!(queues(worker), worker.app.redis.ping_queue(), beats(worker));
    for (nth, result) in [ledger, redis, consumers].into_iter().enumerate() {
        match result {
            Ok(()) => {
                worker.vitals.reached()[nth] = Instant::now();
                let now = worker.app.clock.now().timestamp_millis();
                #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
                gauge!(names::LAST_CONTACT, "part" => PARTS[nth]).set(now as f64 / 1_000.0);
            }
            Err(error) => tracing::warn!(part = PARTS[nth], error = error.chain(), "not reached"),
        }
    }
}

async fn queues(worker: &Worker) -> Result<()> {
    let now = worker.app.clock.now();
    let waiting = backlog::waiting(&worker.app.db, now).await?;
    for queue in Queue::ALL {
        let found = waiting.iter().find(|waiting| waiting.queue == queue.name());
        let oldest = found.and_then(|waiting| (now - waiting.oldest).to_std().ok()).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let depth = found.map_or(0.0, |waiting| waiting.jobs as f64);
        gauge!(names::QUEUE_DEPTH, "queue" => queue.name()).set(depth);
        gauge!(names::QUEUE_OLDEST, "queue" => queue.name()).set(oldest.as_secs_f64());
    }
    Ok(())
}

/// Whether each queue has consumers, and all of them have shown up in Redis lately.
async fn beats(worker: &Worker) -> Result<()> {
    let expected = worker.vitals.consumers().clone();
    for queue in Queue::ALL {
        let names: Vec<String> =
            expected.iter().filter(|(of, _)| *of == queue).map(|(_, name)| name.clone()).collect();
        let alive = queue::alive(&worker.app.redis, queue, &names, worker.app.clock.now() - PATIENCE).await?;
        if names.is_empty() || alive < names.len() {
            let counts = format!("{alive} of {} consumers of {} are alive", names.len(), queue.name());
            return Err(shared::Error::Unavailable(anyhow::anyhow!(counts)));
        }
    }
    Ok(())
}
