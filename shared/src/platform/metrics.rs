//! What is counted and measured, by the names that Prometheus sees. Nothing happens while nobody collects.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::base::clock::Clock;

/// Runs of jobs that ended, by kind and outcome.
pub const JOBS: &str = "parkade_jobs_total";
/// How long runs took, by kind.
pub const JOB_SECONDS: &str = "parkade_job_duration_seconds";
/// Jobs that this worker is running, by kind.
pub const JOBS_RUNNING: &str = "parkade_jobs_running";
/// Jobs that are due and wait, by queue.
pub const QUEUE_DEPTH: &str = "parkade_queue_depth";
/// For how long the oldest of them has been due, by queue.
pub const QUEUE_OLDEST: &str = "parkade_queue_oldest_seconds";
/// Mails, by outcome.
pub const MAILS: &str = "parkade_mails_total";
/// Consumers that ended and were replaced, by queue.
pub const CONSUMER_RESTARTS: &str = "parkade_consumer_restarts_total";
/// When the worker last reached something, by what.
pub const LAST_CONTACT: &str = "parkade_last_contact_timestamp_seconds";

/// Answers of the API, by route, method and class of status.
pub const HTTP: &str = "parkade_http_requests_total";
/// How long they took, by route and method.
pub const HTTP_SECONDS: &str = "parkade_http_request_duration_seconds";
/// Requests that the API is working on.
pub const HTTP_RUNNING: &str = "parkade_http_requests_in_flight";
/// Requests that were turned away because there were too many at once.
pub const HTTP_SHED: &str = "parkade_http_requests_shed_total";
/// Looks into the cache, by kind of answer and outcome.
pub const CACHE: &str = "parkade_cache_requests_total";
/// Connections to the database, by pool and state.
pub const CONNECTIONS: &str = "parkade_database_connections";
/// 1 while Redis does not answer and this process does without.
pub const REDIS_AWAY: &str = "parkade_redis_away";
/// What happened: logins, reservations and so on.
pub const EVENTS: &str = "parkade_events_total";
/// The event of a login with a wrong address or password.
pub const LOGIN_REFUSED: &str = "logins_refused";
/// Calls that were refused because a budget was used up, by action.
pub const RATE_LIMITED: &str = "parkade_rate_limited_total";
/// Jobs that workers were told of, by queue.
pub const ANNOUNCED: &str = "parkade_jobs_announced_total";

/// How a run of a job can end.
pub const OUTCOMES: [&str; 6] = ["succeeded", "failed", "retried", "cancelled", "released", "lease_lost"];

/// What can become of a mail: accepted, refused for now, refused for good, or nobody knows.
pub const MAIL_OUTCOMES: [&str; 4] = ["sent", "deferred", "refused", "unknown"];

/// Whether somebody collects. Who would have to compose a label asks first.
static COLLECTING: AtomicBool = AtomicBool::new(false);

/// Whether somebody collects.
#[must_use]
pub fn is_enabled() -> bool {
    COLLECTING.load(Ordering::Relaxed)
}

/// Collects all metrics of this process, to be served.
#[derive(Debug, Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Begins to collect; `histogram` has these buckets, in seconds.
    ///
    /// # Errors
    /// When this process collects already.
    pub fn install(histogram: &str, buckets: &[f64]) -> anyhow::Result<Self> {
        let matcher = Matcher::Full(histogram.to_owned());
        let handle = PrometheusBuilder::new().set_buckets_for_metric(matcher, buckets)?.install_recorder()?;
        COLLECTING.store(true, Ordering::Relaxed);
        describe();
        gauge!("parkade_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        gauge!("process_start_time_seconds").set(Clock::System.now().timestamp_millis() as f64 / 1_000.0);
        Ok(Self(handle))
    }

    /// As Prometheus reads it (version 0.0.4 of its text format).
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            gauge!("process_resident_memory_bytes").set(bytes);
        }
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Memory of this process, where the system tells it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

/// Counts a look into the cache; `group` comes from our own code, so there are few.
pub fn record_lookup(group: &str, outcome: &'static str) {
    if is_enabled() {
        counter!(CACHE, "group" => group.to_owned(), "outcome" => outcome).increment(1);
    }
}

/// Counts that something happened.
pub fn record_event(event: &'static str) {
    counter!(EVENTS, "event" => event).increment(1);
}

/// Counts a mail.
pub fn record_mail(outcome: &'static str) {
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// Tells the collector what the names mean.
fn describe() {
    describe_counter!(HTTP, "Answers by route, method and class of status");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "How long answers took, by route and method");
    describe_gauge!(HTTP_RUNNING, "Requests that are being worked on");
    describe_counter!(HTTP_SHED, "Requests turned away because there were too many at once");
    describe_counter!(CACHE, "Looks into the cache by kind of answer and outcome");
    describe_gauge!(CONNECTIONS, "Connections to the database by pool and state");
    describe_gauge!(REDIS_AWAY, "1 while Redis does not answer and this process does without");
    describe_counter!(EVENTS, "What happened, such as logins and reservations");
    describe_counter!(RATE_LIMITED, "Calls refused because a budget was used up, by action");
    describe_counter!(ANNOUNCED, "Jobs that workers were told of, by queue");
    describe_gauge!("parkade_build_info", "1, with the release as a label");
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "When the process started");
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Memory that the process holds");
    describe_counter!(JOBS, "Runs of jobs that ended, by kind and outcome");
    describe_histogram!(JOB_SECONDS, Unit::Seconds, "How long runs of jobs took, by kind");
    describe_gauge!(JOBS_RUNNING, "Jobs that this worker is running, by kind");
    describe_gauge!(QUEUE_DEPTH, "Jobs that are due and wait, by queue");
    describe_gauge!(QUEUE_OLDEST, Unit::Seconds, "For how long the oldest of them has been due, by queue");
    describe_counter!(MAILS, "Mails by what became of them");
    describe_counter!(CONSUMER_RESTARTS, "Consumers that ended and were replaced, by queue");
    describe_gauge!(
        LAST_CONTACT,
        Unit::Seconds,
        "When the worker last reached its database, Redis and its own consumers"
    );
}
