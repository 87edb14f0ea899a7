//! What a worker counts and measures, by the names that Prometheus sees. Nothing happens while nobody collects.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

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

/// How a run of a job can end.
pub const OUTCOMES: [&str; 6] = ["succeeded", "failed", "retried", "cancelled", "released", "lease_lost"];

/// What can become of a mail: accepted, refused for now, refused for good, or nobody knows.
pub const MAIL_OUTCOMES: [&str; 4] = ["sent", "deferred", "refused", "unknown"];

/// Counts a mail.
pub fn mail(outcome: &'static str) {
    counter!(MAILS, "outcome" => outcome).increment(1);
}

/// Tells the collector what the names mean.
pub fn describe() {
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
