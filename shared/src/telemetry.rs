//! Logs of both binaries, and the trace that runs from a request through the ledger to a job.

use std::{future::Future, io::IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Log;

tokio::task_local! {
    static TRACE: String;
}

/// Starts logging to standard error, once a process.
///
/// # Errors
/// When the filter of `LOG_LEVEL` cannot be read or logging has been started before.
pub fn init(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level)?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    let started =
        if log.json { logs.json().flatten_event(true).try_init() } else { logs.compact().try_init() };
    started.map_err(|error| anyhow::anyhow!(error))
}

/// Runs `work` as part of a trace: jobs that it enqueues carry the id.
pub async fn traced<F: Future>(trace: String, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace that this task is part of.
#[must_use]
pub fn trace_id() -> Option<String> {
    TRACE.try_with(Clone::clone).ok()
}
