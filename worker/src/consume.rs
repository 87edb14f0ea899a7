//! What a worker does with a message: claim the job, run it, record how the run ended, and publish that.

use std::{
    any::Any,
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use apalis::prelude::{BackendExt, Data, WorkerBuilder, WorkerBuilderExt};
use apalis_redis::RedisStorage;
use futures::FutureExt;
use shared::{
    Error, Result,
    jobs::{
        Change, Context, Kind, Outcome, Progress, Queue,
        ledger::{self, Claim},
        policy::{LEASE, RENEW_INTERVAL},
        queue::{self, Message},
        status::{self, Status},
    },
    platform::telemetry,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{metrics::RunMetrics, worker::Worker};

/// The shortest time between two published steps of progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(50);

/// How often the end of a run is recorded before the job is left to the expiry of its lease.
const MAX_RECORD_TRIES: u32 = 5;

/// Consumes messages of `queue` until `stop` is cancelled, or until Redis is away for too long.
///
/// apalis fetches messages, limits how many are handled at once, sends heartbeats and acknowledges. The handler
/// reports success for every message: what becomes of the job is decided in the ledger.
pub async fn consume(
    worker: &Worker,
    queue: Queue,
    name: &str,
    concurrency: usize,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let redis = &worker.app.redis;
    let storage: RedisStorage<Message> =
        RedisStorage::new(redis.consumer_connection().await?).with_config(queue::config(redis, queue));
    WorkerBuilder::new(name)
        .backend(storage.poll_with_stream(worker.signals.new_messages(queue)))
        .concurrency(concurrency)
        .data(worker.clone())
        .build(handle)
        .run_until(async move {
            stop.cancelled().await;
            Ok::<(), io::Error>(())
        })
        .await
        .map_err(|error| anyhow!("{error}"))
}

/// Runs the job in a task of its own, which continues even if the consumer ends.
async fn handle(message: Message, worker: Data<Worker>) {
    let worker = (*worker).clone();
    let task = worker.tasks.clone().spawn(async move { perform(&worker, message.id).await });
    if let Err(error) = task.await {
        tracing::error!(job.id = %message.id, %error, "the task of a job ended abnormally");
    }
}

/// Runs a job if it can be claimed.
pub async fn perform(worker: &Worker, id: Uuid) {
    let app = &worker.app;
    if app.wrong_clock().await.is_some() {
        return tracing::debug!(job.id = %id, "job not claimed, because the clock is wrong");
    }
    match worker.batches.claim(app, &worker.name, id).await {
        Ok(Some(claim)) => {
            let trace = claim.trace.clone().unwrap_or_else(telemetry::new_trace_id);
            let span = tracing::info_span!("job", job.id = %id, job.kind = claim.kind, job.attempt = claim.attempt, trace, job.outcome = Empty);
            telemetry::in_trace(trace, perform_claimed(worker, &claim).instrument(span)).await;
        }
        Ok(None) => tracing::debug!(job.id = %id, "job already claimed, ended or not due"),
        Err(error) => {
            tracing::warn!(job.id = %id, error = error.chain(), "job not claimed; the relay will push it again")
        }
    }
}

async fn perform_claimed(worker: &Worker, claim: &Claim) {
    let kind = worker.registry.find(&claim.kind);
    let metrics = RunMetrics::start(kind.map_or("unknown", |kind| kind.name));
    let begun = Instant::now();
    let outcome = run(worker, claim, kind).await;
    // No progress of this job was published, which a late message could confuse with its end.
    let is_short = claim.attempt == 1 && begun.elapsed() < PROGRESS_PAUSE;
    log(&outcome);
    let outcome = record(worker, claim, outcome).await;
    tracing::Span::current().record("job.outcome", outcome.name());
    if let Some(status) = Status::after(claim, &outcome) {
        if is_short {
            status::notify(&worker.app, claim.id, &status).await;
        } else {
            status::publish(&worker.app, claim.id, &status).await;
        }
    }
    metrics.finish(&outcome);
}

/// Runs the job until it ends, times out, panics or is stopped. Dropping its future undoes what is half done.
async fn run(worker: &Worker, claim: &Claim, kind: Option<Kind>) -> Outcome {
    let app = &worker.app;
    let attempts = (claim.attempt, claim.max_attempts);
    let outcome = |result| Outcome::of(result, attempts, app.clock.now(), rand::random());
    let Some(kind) = kind else {
        // A newer worker may know it: during a rolling update both versions run.
        return outcome(Err(Error::Unavailable(anyhow!("this worker knows no job {:?}", claim.kind))));
    };
    if claim.cancel_requested {
        return Outcome::Cancelled;
    }
    let running = worker.signals.register(claim.id);
    let progress = Progress::default();
    let context = Context {
        app: app.clone(),
        id: claim.id,
        owner_id: claim.owner_id,
        attempt: claim.attempt,
        progress: progress.clone(),
    };
    let work = AssertUnwindSafe(tokio::time::timeout(kind.timeout, kind.run(&claim.payload, context)));
    tokio::select! {
        biased;
        ended = work.catch_unwind() => outcome(match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Internal(anyhow!("it took longer than {:?}", kind.timeout))),
            Err(panic) => Err(Error::Internal(anyhow!("it panicked: {}", panic_message(&*panic)))),
        }),
        outcome = running.stopped() => outcome,
        outcome = renew_lease(worker, claim, &progress) => outcome,
        never = publish_progress(worker, claim, &progress) => match never {},
    }
}

/// Renews the lease until the run has to stop.
async fn renew_lease(worker: &Worker, claim: &Claim, progress: &Progress) -> Outcome {
    let app = &worker.app;
    loop {
        tokio::time::sleep(RENEW_INTERVAL).await;
        // Nobody could take over a job with a lease from the future.
        if app.wrong_clock().await.is_some() {
            continue;
        }
        match ledger::renew(&app.db, app.clock.now(), LEASE, claim, progress.get()).await {
            Ok(Some(false)) => {}
            Ok(Some(true)) => return Outcome::Cancelled,
            Ok(None) => return Outcome::LeaseLost,
            Err(error) => tracing::warn!(error = error.chain(), "lease not renewed; retrying"),
        }
    }
}

/// Publishes the progress unless the run is short, then on every change, and often enough for readers to consider it current.
async fn publish_progress(worker: &Worker, claim: &Claim, progress: &Progress) -> Infallible {
    let mut changes = progress.changes();
    loop {
        tokio::time::sleep(PROGRESS_PAUSE).await;
        let now = *changes.borrow_and_update();
        status::publish(&worker.app, claim.id, &Status::running(claim, now)).await;
        // The sender lives as long as the run, so waiting for a change does not fail.
        let _ = tokio::time::timeout(RENEW_INTERVAL, changes.changed()).await;
    }
}

fn log(outcome: &Outcome) {
    match outcome {
        Outcome::Failed(error) => tracing::error!(error, "job failed for good"),
        Outcome::Retry { run_at, error } => tracing::warn!(error, %run_at, "job failed; it will be retried"),
        other => tracing::debug!(outcome = other.name(), "job ended"),
    }
}

/// Records the outcome in the ledger and returns it, or [`Outcome::LeaseLost`] if it is not recorded.
async fn record(worker: &Worker, claim: &Claim, outcome: Outcome) -> Outcome {
    for pause in (1..=MAX_RECORD_TRIES).map(|n| Duration::from_millis(50) * 2_u32.pow(n)) {
        match try_to_record(worker, claim, &outcome).await {
            Ok(true) => return outcome,
            Ok(false) => {
                tracing::warn!("lease lost: another worker has claimed the job");
                return Outcome::LeaseLost;
            }
            Err(error) => tracing::warn!(error = error.chain(), "end of a run not recorded; retrying"),
        }
        tokio::time::sleep(pause).await;
    }
    Outcome::LeaseLost
}

/// Writes the outcome, and with a success the jobs that follow. `false` if the lease is lost.
async fn try_to_record(worker: &Worker, claim: &Claim, outcome: &Outcome) -> Result<bool> {
    let app = &worker.app;
    app.require_right_clock().await?;
    let done = match outcome {
        Outcome::Succeeded(done) if !done.then.is_empty() => done,
        _ => return worker.batches.close(app, claim, outcome).await,
    };
    let mut change = Change::begin(app).await?;
    if !ledger::close(change.tx(), app.clock.now(), claim, outcome).await? {
        return Ok(false);
    }
    for job in &done.then {
        change.enqueue(job).await?;
    }
    change.commit().await?;
    Ok(true)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
