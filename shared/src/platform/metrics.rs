//! Metrics for Prometheus. Recording one does nothing until an exporter is installed.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::base::clock::Clock;

/// Finished runs of jobs, by kind and outcome.
pub const JOBS: &str = "parkade_jobs_total";
/// Durations of runs, by kind.
pub const JOB_SECONDS: &str = "parkade_job_duration_seconds";
/// Jobs that this worker is running, by kind.
pub const JOBS_RUNNING: &str = "parkade_jobs_running";
/// Due jobs that wait for a worker, by queue.
pub const QUEUE_DEPTH: &str = "parkade_queue_depth";
/// How long the oldest of them has been due, by queue.
pub const QUEUE_OLDEST: &str = "parkade_queue_oldest_seconds";
/// Attempts to send mails, by outcome.
pub const MAILS: &str = "parkade_mails_total";
/// Consumers that ended and were replaced, by queue.
pub const CONSUMER_RESTARTS: &str = "parkade_consumer_restarts_total";
/// When the worker last reached each of its dependencies.
pub const LAST_CONTACT: &str = "parkade_last_contact_timestamp_seconds";

/// Responses of the API, by route, method and class of status.
pub const HTTP: &str = "parkade_http_requests_total";
/// Durations of responses, by route and method.
pub const HTTP_SECONDS: &str = "parkade_http_request_duration_seconds";
/// Requests in progress.
pub const HTTP_RUNNING: &str = "parkade_http_requests_in_flight";
/// Requests rejected because of overload.
pub const HTTP_SHED: &str = "parkade_http_requests_shed_total";
/// Cache lookups, by kind of answer and outcome.
pub const CACHE: &str = "parkade_cache_requests_total";
/// Connections to the database, by pool and state.
pub const CONNECTIONS: &str = "parkade_database_connections";
/// 1 while Redis does not respond and this process works without it.
pub const REDIS_AWAY: &str = "parkade_redis_away";
/// Events: logins, reservations and so on.
pub const EVENTS: &str = "parkade_events_total";
/// The event of a login with a wrong address or password.
pub const LOGIN_REFUSED: &str = "logins_refused";
/// Calls rejected by a rate limit, by action.
pub const RATE_LIMITED: &str = "parkade_rate_limited_total";
/// Jobs announced to workers, by queue.
pub const ANNOUNCED: &str = "parkade_jobs_announced_total";

/// The outcomes of a job's run.
pub const OUTCOMES: [&str; 8] =
    ["succeeded", "failed", "retried", "postponed", "held", "cancelled", "released", "lease_lost"];

/// The outcomes of a mail: accepted, rejected for now, held until the server takes mail, rejected permanently, unknown, or
/// dropped because it came too late.
pub const MAIL_OUTCOMES: [&str; 6] = ["sent", "deferred", "held", "refused", "unknown", "dropped"];

static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Whether metrics are exported. To be asked before a label is composed.
#[must_use]
pub fn is_enabled() -> bool {
    IS_ENABLED.load(Ordering::Relaxed)
}

/// Exports all metrics of this process.
#[derive(Debug, Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Starts recording; `histogram` has these buckets, in seconds.
    ///
    /// # Errors
    /// When this process has an exporter already.
    pub fn install(histogram: &str, buckets: &[f64]) -> anyhow::Result<Self> {
        let matcher = Matcher::Full(histogram.to_owned());
        let handle = PrometheusBuilder::new().set_buckets_for_metric(matcher, buckets)?.install_recorder()?;
        IS_ENABLED.store(true, Ordering::Relaxed);
        describe();
        gauge!("parkade_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        gauge!("process_start_time_seconds").set(Clock::System.now().timestamp_millis() as f64 / 1_000.0);
        Ok(Self(handle))
    }

    /// The metrics in version 0.0.4 of the text format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            gauge!("process_resident_memory_bytes").set(bytes);
        }
        self.0.run_upkeep();
        self.0.render()
    }
}

/// The memory of this process, on systems that report it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

/// Counts a cache lookup. Groups are named in the code, so there are few.
pub fn record_lookup(group: &str, outcome: &'static str) {
    if is_enabled() {
        counter!(CACHE, "group" => group.to_owned(), "outcome" => outcome).increment(1);
    }
}

/// Counts an event.
pub fn record_event(event: &'static str) {
    counter!(EVENTS, "event" => event).increment(1);
}

/// Counts an attempt to send a mail.
pub fn record_mail(outcome: &'static str) {
    counter!(MAILS, "outcome" => outcome).increment(1);
}

fn describe() {
    describe_counter!(HTTP, "Responses by route, method and class of status");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "Duration of responses by route and method");
    describe_gauge!(HTTP_RUNNING, "Requests in progress");
    describe_counter!(HTTP_SHED, "Requests rejected because of overload");
    describe_counter!(CACHE, "Cache lookups by kind of answer and outcome");
    describe_gauge!(CONNECTIONS, "Connections to the database by pool and state");
    describe_gauge!(REDIS_AWAY, "1 while Redis does not respond and this process works without it");
    describe_counter!(EVENTS, "Events such as logins and reservations");
    describe_counter!(RATE_LIMITED, "Calls rejected by a rate limit, by action");
    describe_counter!(ANNOUNCED, "Jobs announced to workers, by queue");
    describe_gauge!("parkade_build_info", "1, with the release as a label");
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "When the process started");
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Resident memory of the process");
    describe_counter!(JOBS, "Finished runs of jobs by kind and outcome");
    describe_histogram!(JOB_SECONDS, Unit::Seconds, "Duration of runs of jobs by kind");
    describe_gauge!(JOBS_RUNNING, "Jobs that this worker is running, by kind");
    describe_gauge!(QUEUE_DEPTH, "Due jobs that wait for a worker, by queue");
    describe_gauge!(QUEUE_OLDEST, Unit::Seconds, "How long the oldest due job has waited, by queue");
    describe_counter!(MAILS, "Attempts to send mails by outcome");
    describe_counter!(CONSUMER_RESTARTS, "Consumers that ended and were replaced, by queue");
    describe_gauge!(
        LAST_CONTACT,
        Unit::Seconds,
        "When the worker last reached its database, Redis and its own consumers, and its clock was last right"
    );
}
