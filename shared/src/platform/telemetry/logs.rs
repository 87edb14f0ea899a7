//! Starting the logs of a process, and its last message.

use std::{io::IsTerminal, process::ExitCode};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use super::spans::{self, Spans};
use crate::platform::config::Config;

/// Starts logging to standard error and, if there is a collector, exporting spans until the returned value is dropped.
///
/// # Errors
/// When the filter in `LOG_LEVEL` is malformed, or logging has been started before.
pub fn init(config: &Config, service: &'static str) -> anyhow::Result<Spans> {
    let mut filter = EnvFilter::try_new(&config.log.level)?;
    if config.log.level.eq_ignore_ascii_case("info") {
        // It reports every start.
        filter = filter.add_directive("sea_orm_migration=warn".parse()?);
    }
    let logs = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let logs = if config.log.json { logs.json().flatten_event(true).boxed() } else { logs.compact().boxed() };
    let Some(collector) = &config.operations.otlp_endpoint else {
        registry().with(logs).with(filter).try_init()?;
        warn_about_settings(config);
        return Ok(Spans::default());
    };
    // The log filter does not decide which spans are exported.
    let (layer, spans) = spans::export(collector, service)?;
    registry().with(logs.with_filter(filter)).with(layer).try_init()?;
    warn_about_settings(config);
    Ok(spans)
}

fn warn_about_settings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// The exit code of a program, after its error has been printed with its causes.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
