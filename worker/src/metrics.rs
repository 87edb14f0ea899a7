//! A worker's HTTP server: `/metrics` for Prometheus, and `/health` for supervisors that restart it.

use std::time::{Duration, Instant};

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
    Error, Result,
    jobs::{Outcome, Queue, control, queue},
    platform::metrics::{self as names, Exporter},
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    health::{Health, PARTS},
    worker::Worker,
};

/// A worker that has not reached one of [`PARTS`] for longer is unhealthy.
const MAX_AGE: Duration = Duration::from_secs(15);

const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Mails take milliseconds, exports minutes.
const BUCKETS: [f64; 11] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

/// The metrics of one run of a job, which counts as running until this is dropped.
#[derive(Debug)]
pub struct RunMetrics {
    kind: &'static str,
    started: Instant,
}

impl RunMetrics {
    /// Counts a run as running.
    #[must_use]
    pub fn start(kind: &'static str) -> Self {
        gauge!(names::JOBS_RUNNING, "kind" => kind).increment(1);
        Self { kind, started: Instant::now() }
    }

    /// Counts its end.
    pub fn finish(self, outcome: &Outcome) {
        counter!(names::JOBS, "kind" => self.kind, "outcome" => outcome.name()).increment(1);
        histogram!(names::JOB_SECONDS, "kind" => self.kind).record(self.started.elapsed());
    }
}

impl Drop for RunMetrics {
    fn drop(&mut self) {
        gauge!(names::JOBS_RUNNING, "kind" => self.kind).decrement(1);
    }
}

/// Collects metrics and serves them at `WORKER_METRICS_ADDR`, if that is set, until the returned tasks are dropped. Fails
/// if the address is in use, or if this process collects metrics already.
pub async fn start(worker: &Worker) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let Some(address) = worker.app.config.operations.worker_metrics_addr else { return Ok(tasks) };
    let exporter = Exporter::install(names::JOB_SECONDS, &BUCKETS)?;
    initialize_counters(worker);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .with_state((exporter, worker.health.clone()));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    let worker = worker.clone();
    tasks.spawn(async move {
        // Consumers need a moment for their first heartbeat.
        tokio::time::sleep(Duration::from_secs(1)).await;
        loop {
            check(&worker).await;
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    });
    Ok(tasks)
}

/// Sets counters to zero, so that Prometheus sees the first event as an increase.
fn initialize_counters(worker: &Worker) {
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

async fn metrics(State((exporter, _)): State<(Exporter, Health)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], exporter.text())
}

async fn health(State((_, health)): State<(Exporter, Health)>) -> (StatusCode, Json<Value>) {
    let ages = health.reached.lock().map(|reached| reached.elapsed());
    let is_healthy = ages.iter().all(|age| *age <= MAX_AGE);
    let (code, status) =
        if is_healthy { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let parts: serde_json::Map<String, Value> = PARTS
        .into_iter()
        .zip(ages)
        .map(|(part, age)| (part.to_owned(), json!({ "seconds_since_reached": age.as_secs() })))
        .collect();
    (code, Json(json!({ "status": status, "parts": parts })))
}

/// Tries to reach each of [`PARTS`].
async fn check(worker: &Worker) {
    let (ledger, redis, consumers, clock) = tokio::join!(
        measure_backlogs(worker),
        check_redis(worker),
        check_heartbeats(worker),
        worker.app.require_right_clock()
    );
    for (nth, result) in [ledger, redis, consumers, clock].into_iter().enumerate() {
        match result {
            Ok(()) => {
                worker.health.reached.lock()[nth] = Instant::now();
                let now = worker.app.clock.now().timestamp_millis();
                #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
                gauge!(names::LAST_CONTACT, "part" => PARTS[nth]).set(now as f64 / 1_000.0);
            }
            Err(error) => tracing::warn!(part = PARTS[nth], error = error.chain(), "not reached"),
        }
    }
}

/// Fails also if the Redis user lacks a permission.
async fn check_redis(worker: &Worker) -> Result<()> {
    worker.app.redis.ping_queue().await?;
    worker.app.redis.access_problem().map_or(Ok(()), |problem| Err(Error::Permanent(problem)))
}

async fn measure_backlogs(worker: &Worker) -> Result<()> {
    let now = worker.app.clock.now();
    let backlogs = control::list_backlogs(&worker.app.db, now).await?;
    for queue in Queue::ALL {
        let backlog = backlogs.iter().find(|backlog| backlog.queue == queue.name());
        let oldest = backlog.and_then(|backlog| (now - backlog.oldest).to_std().ok()).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let depth = backlog.map_or(0.0, |backlog| backlog.jobs as f64);
        gauge!(names::QUEUE_DEPTH, "queue" => queue.name()).set(depth);
        gauge!(names::QUEUE_OLDEST, "queue" => queue.name()).set(oldest.as_secs_f64());
    }
    Ok(())
}

/// Fails unless every queue has consumers, and all of them have had a heartbeat lately.
async fn check_heartbeats(worker: &Worker) -> Result<()> {
    let expected = worker.health.consumers.lock().clone();
    let since = worker.app.clock.now() - MAX_AGE;
    for queue in Queue::ALL {
        let of_queue = expected.iter().filter(|(of, _)| *of == queue);
        let names: Vec<String> = of_queue.map(|(_, name)| name.clone()).collect();
        let alive = queue::count_alive(&worker.app.redis, queue, &names, since).await?;
        if names.is_empty() || alive < names.len() {
            let counts = format!("{alive} of {} consumers of {} are alive", names.len(), queue.name());
            return Err(Error::Unavailable(anyhow::anyhow!(counts)));
        }
    }
    Ok(())
}
