//! The one way in which a job is run: claim, renew, run with a time limit and a panic guard, record the end.

use std::{panic::AssertUnwindSafe, time::Duration};

use anyhow::anyhow;
use futures::FutureExt;
use shared::{
    Error, Result,
    jobs::{
        Context, Done, Interruption, Interrupts,
        context::Progress,
        ledger::{self, Claim, Close},
        policy::{self, Ending, LEASE, RENEW_EVERY, Verdict},
        queue,
        status::{self, State, Status},
    },
    platform::telemetry,
};
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{
    Worker,
    metrics::{Run, outcome_name},
    registry::Kind,
};

/// Readers see progress at once, but no more often than this.
const SHOW_PAUSE: Duration = Duration::from_millis(50);

/// Recording an end is tried this often; then the lease runs out and the job is run again.
const RECORD_TRIES: u32 = 5;

/// Runs the job, if it is to be had.
pub async fn perform(worker: &Worker, id: Uuid) {
    let app = &worker.app;
    match ledger::claim(&app.db, app.clock.now(), LEASE, &worker.name, id).await {
        Ok(Some(claim)) => {
            let trace = claim.trace.clone().unwrap_or_else(telemetry::new_trace_id);
            let span = tracing::info_span!("job", job.id = %id, job.kind = claim.kind, job.attempt = claim.attempt, trace, job.outcome = Empty);
            telemetry::in_trace(trace, run_claimed(worker, &claim).instrument(span)).await;
        }
        Ok(None) => tracing::debug!(job.id = %id, "job is taken, ended or not due"),
        Err(error) => {
            tracing::warn!(job.id = %id, error = error.chain(), "job not claimed; the relay will try again")
        }
    }
}

async fn run_claimed(worker: &Worker, claim: &Claim) {
    let progress = Progress::default();
    let kind = worker.registry.find(&claim.kind);
    let run = Run::begin(kind.map_or("unknown", |kind| kind.name));
    let outcome = match kind {
        Some(kind) => attempt(worker, claim, kind, &progress).await,
        // A newer worker may know it: in a rolling update both are about.
        None => Err(Error::Unavailable(anyhow!("this worker knows no job {:?}", claim.kind)).into()),
    };
    let (ending, done, error) = match outcome {
        Ok(done) => (Ending::Succeeded, Some(done), None),
        Err(Stop::Interrupted(Interruption::LeaseLost)) => {
            tracing::warn!("lease lost; the job is somebody else's now");
            return run.end(None);
        }
        Err(Stop::Interrupted(Interruption::Cancelled)) => (Ending::Cancelled, None, None),
        Err(Stop::Interrupted(Interruption::Shutdown)) => (Ending::Shutdown, None, None),
        Err(Stop::Failed(Error::RateLimited { retry_after })) => (Ending::Busy(retry_after), None, None),
        Err(Stop::Failed(error)) if error.is_transient() => (Ending::Transient, None, Some(error)),
        Err(Stop::Failed(error)) => (Ending::Permanent, None, Some(error)),
    };
    let verdict = policy::verdict(ending, claim.attempt, claim.max_attempts, rand::random());
    let reason = error.as_ref().map(Error::chain).unwrap_or_default();
    match verdict {
        Verdict::Fail => tracing::error!(error = reason, "job failed for good"),
        Verdict::Retry(pause) => tracing::warn!(error = reason, ?pause, "job failed; it will be tried again"),
        other => tracing::debug!(verdict = ?other, "job ended"),
    }
    tracing::Span::current().record("job.outcome", outcome_name(Some(verdict)));
    let is_recorded = record(worker, claim, verdict, done.unwrap_or_default(), &reason).await;
    run.end(is_recorded.then_some(verdict));
}

/// Why a run did not succeed.
enum Stop {
    Interrupted(Interruption),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs the job until it ends, takes too long, panics, or is to stop. Dropping its future undoes what is half made.
async fn attempt(worker: &Worker, claim: &Claim, kind: Kind, progress: &Progress) -> Result<Done, Stop> {
    let interrupts = Interrupts::default();
    let _stoppable = worker.signals.register(claim.id, interrupts.clone());
    if claim.cancel_requested {
        return Err(Stop::Interrupted(Interruption::Cancelled));
    }
    let context = Context {
        app: worker.app.clone(),
        id: claim.id,
        owner_id: claim.owner_id,
        attempt: claim.attempt,
        progress: progress.clone(),
    };
    let work = AssertUnwindSafe(tokio::time::timeout(kind.timeout, kind.run(&claim.payload, context)))
        .catch_unwind();
    tokio::select! {
        biased;
        ended = work => match ended {
            Ok(Ok(result)) => result.map_err(Stop::Failed),
            Ok(Err(_)) => Err(Error::Internal(anyhow!("it took longer than {:?}", kind.timeout)).into()),
            Err(panic) => Err(Error::Internal(anyhow!("it panicked: {}", panic_text(&*panic))).into()),
        },
        why = interrupts.interrupted() => Err(Stop::Interrupted(why)),
        () = keep(worker, claim, progress, &interrupts) => unreachable!("keeping a lease does not end"),
        () = show(worker, claim, progress) => unreachable!("showing progress does not end"),
    }
}

/// Renews the lease for as long as the job runs, and hears from the ledger when it is to stop.
async fn keep(worker: &Worker, claim: &Claim, progress: &Progress, interrupts: &Interrupts) {
    let app = &worker.app;
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match ledger::renew(&app.db, app.clock.now(), LEASE, claim, progress.get()).await {
            Ok(Some(false)) => {}
            Ok(Some(true)) => interrupts.interrupt(Interruption::Cancelled),
            Ok(None) => interrupts.interrupt(Interruption::LeaseLost),
            Err(error) => tracing::warn!(error = error.chain(), "lease not renewed; trying again"),
        }
    }
}

/// Publishes the progress for as long as the job runs: at once, on change, and often enough to be believed.
async fn show(worker: &Worker, claim: &Claim, progress: &Progress) {
    let mut changes = progress.changes();
    loop {
        let now = *changes.borrow_and_update();
        status::publish(&worker.app, claim.id, &snapshot(claim, State::Progress, now)).await;
        tokio::time::sleep(SHOW_PAUSE).await;
        // Its sender lives as long as the job, so there is no error to be seen.
        let _ = tokio::time::timeout(RENEW_EVERY, changes.changed()).await;
    }
}

/// Tells readers what the ledger now says.
async fn publish(worker: &Worker, claim: &Claim, verdict: Verdict, done: &Done, reason: &str) {
    let state = match verdict {
        Verdict::Succeed => State::Success,
        Verdict::Retry(_) | Verdict::Release | Verdict::Postpone(_) => State::Pending,
        Verdict::Fail => State::Failure,
        Verdict::Cancel => State::Cancelled,
    };
    let error = (state == State::Failure).then(|| status::for_owner(reason).to_owned());
    let result = done.result.clone();
    status::publish(&worker.app, claim.id, &Status { result, error, ..snapshot(claim, state, (0, 0)) }).await;
}

fn snapshot(claim: &Claim, state: State, (current, total): (i64, i64)) -> Status {
    Status {
        kind: claim.kind.clone(),
        owner_id: claim.owner_id,
        since: claim.started_at,
        state,
        current,
        total,
        result: serde_json::Value::Null,
        error: None,
    }
}

/// Writes down what became of the job, together with the jobs that follow from it, then tells readers. `false` when
/// that is not for this run to say any more.
async fn record(worker: &Worker, claim: &Claim, verdict: Verdict, done: Done, reason: &str) -> bool {
    for pause in (1..=RECORD_TRIES).map(|n| Duration::from_millis(50) * 2_u32.pow(n)) {
        match try_to_record(worker, claim, verdict, &done, reason).await {
            Ok(true) => {
                publish(worker, claim, verdict, &done, reason).await;
                return true;
            }
            Ok(false) => {
                tracing::warn!("the lease was lost before the end was recorded");
                return false;
            }
            Err(error) => tracing::warn!(error = error.chain(), "end of a job not recorded; trying again"),
        }
        tokio::time::sleep(pause).await;
    }
    false
}

async fn try_to_record(
    worker: &Worker,
    claim: &Claim,
    verdict: Verdict,
    done: &Done,
    reason: &str,
) -> Result<bool> {
    let app = &worker.app;
    let now = app.clock.now();
    let result = done.result.to_string();
    let close = Close::of(verdict, now, &result, reason);
    if done.then.is_empty() {
        return ledger::close(app.db.relaxed(), now, claim, close).await;
    }
    let tx = app.db.begin().await?;
    if !ledger::close(&tx, now, claim, close).await? {
        return Ok(false);
    }
    let mut following = Vec::with_capacity(done.then.len());
    for job in &done.then {
        following.push(ledger::insert(&tx, now, job).await?);
    }
    tx.commit().await?;
    queue::announce_soon(app, following);
    Ok(true)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
