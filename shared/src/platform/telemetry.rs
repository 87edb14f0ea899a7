//! Logs of both binaries, and the trace that runs from a request through the ledger to a job.

use std::{future::Future, io::IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};
use uuid::Uuid;

use self::spans::Spans;
use crate::platform::config::Config;

pub mod spans;

tokio::task_local! {
    static TRACE: String;
}

/// Starts logging to standard error, and sending spans if there is a collector, once a process. Spans are sent until what
/// this returns is dropped.
///
/// # Errors
/// When the filter of `LOG_LEVEL` cannot be read or logging has been started before.
pub fn init(config: &Config, service: &'static str) -> anyhow::Result<Spans> {
    let filter = EnvFilter::try_new(&config.log.level)?;
    let logs = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let logs = if config.log.json { logs.json().flatten_event(true).boxed() } else { logs.compact().boxed() };
    let Some(collector) = &config.operations.otlp_endpoint else {
        registry().with(logs).with(filter).try_init()?;
        return Ok(Spans::default());
    };
    // What is logged does not decide which spans are sent.
    let (layer, spans) = spans::to(collector, service)?;
    registry().with(logs.with_filter(filter)).with(layer).try_init()?;
    Ok(spans)
}

/// Runs `work` as part of a trace: jobs that it enqueues carry the id.
pub async fn in_trace<F: Future>(trace: String, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace that this task is part of.
#[must_use]
pub fn trace_id() -> Option<String> {
    TRACE.try_with(Clone::clone).ok()
}

/// The id of a new trace, as in [W3C Trace Context](https://www.w3.org/TR/trace-context/): 32 hexadecimal digits.
#[must_use]
pub fn new_trace_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The trace that a `traceparent` header names, if it is well formed.
///
/// Versions to come may say more after the flags; `ff`, and ids of nothing but zeros, are forbidden.
#[must_use]
pub fn parse_traceparent(traceparent: &str) -> Option<&str> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = version != "00" || parts.next().is_none();
    let is_good = is_hex(version, 2) && version != "ff" && is_id(trace, 32) && is_id(parent, 16);
    (is_good && is_hex(flags, 2) && is_whole).then_some(trace)
}

/// The exit code of a program, after its error has been printed with its causes.
pub fn exit_code(result: anyhow::Result<()>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_well_formed_traceparents_are_accepted() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parse_traceparent(&good), Some(TRACE));
        assert_eq!(
            parse_traceparent(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")),
            Some(TRACE),
            "a version to come"
        );
        let bad = [
            String::new(),
            format!("{good}-more"),
            good.to_uppercase(),
            good.replacen("00-", "ff-", 1),
            good.replace(TRACE, &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", "0000000000000000"),
            good.replace("-01", ""),
            good.replace("-01", "-1"),
            good.replace('4', "g"),
            good.replace("4bf9", "4bf"),
        ];
        for text in bad {
            assert_eq!(parse_traceparent(&text), None, "{text:?}");
        }
        assert_eq!(
            parse_traceparent(&format!("00-{}-00f067aa0ba902b7-00", new_trace_id())).map(str::len),
            Some(32)
        );
    }
}
