//! The faults of a run and their times, drawn from a seed: the same seed and length give the same plan. Pure.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to a worker; a new one is started.
    KillWorker,
    /// SIGTERM to a worker; a new one is started.
    StopWorker,
    /// SIGSTOP to a worker for this long; a new one is started meanwhile.
    FreezeWorker(Duration),
    /// SIGKILL to the API while it cannot announce the jobs it commits.
    KillApi,
    /// A job that aborts every worker that runs it.
    PoisonJob,
    /// SIGKILL to Redis, which is restarted after this long.
    KillRedis(Duration),
    /// Redis loses all data.
    FlushRedis,
    /// The workers' connections to Redis are refused for this long.
    CutRedis(Duration),
    /// What the workers send to Redis is swallowed for this long.
    BlackHoleRedis(Duration),
    /// Redis answers the workers late for this long.
    DelayRedis(Duration),
    /// The mail server answers 451 for this long.
    TemporaryMailErrors(Duration),
    /// The mail server rejects the next mails permanently.
    PermanentMailErrors,
    /// The mail server closes the connection instead of accepting the next mails.
    DropMails,
    /// The mail server accepts the next mails, but closes the connection before it says so.
    AcceptAndDropMails,
    /// The mail server never answers the next mail.
    HangMail,
    /// The mail server cannot be reached for this long.
    CutMail(Duration),
}

/// A fault, and when to inject it.
pub type Scheduled = (Duration, Fault);

/// Two sequences of faults that are injected side by side.
pub struct Plan {
    /// Faults of workers and of the API.
    pub processes: Vec<Scheduled>,
    /// Faults of Redis and of the mail server.
    pub network: Vec<Scheduled>,
}

/// Seconds without faults at the beginning, in which the workers start.
const WARM_UP: f64 = 2.0;

impl Plan {
    /// Each fault occurs at its rate per minute, and at least once.
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let minutes = length.as_secs_f64() / 60.0;
        let span = |seconds: f64| Duration::from_secs_f64(seconds);
        // Longer than a lease in any run.
        let long = span((minutes * 2.0).clamp(5.0, 30.0));
        let away = span((minutes * 4.0).clamp(5.0, 60.0));
        let second = span(1.0);
        let processes = [
            (Fault::KillWorker, 15.0),
            (Fault::StopWorker, 3.0),
            (Fault::FreezeWorker(long), 3.0),
            (Fault::KillApi, 2.0),
            (Fault::PoisonJob, 2.0),
        ];
        let network = [
            (Fault::KillRedis(second), 3.5),
            (Fault::KillRedis(away), 0.06),
            (Fault::FlushRedis, 1.5),
            (Fault::CutRedis(second), 2.0),
            (Fault::BlackHoleRedis(second), 2.0),
            (Fault::DelayRedis(second), 2.0),
            (Fault::TemporaryMailErrors(second / 2), 3.0),
            (Fault::PermanentMailErrors, 1.0),
            (Fault::DropMails, 3.0),
            (Fault::AcceptAndDropMails, 4.0),
            (Fault::HangMail, 1.0),
            (Fault::CutMail(second), 2.0),
        ];
        let mut schedule = |rates: &[(Fault, f64)]| {
            let mut all = Vec::new();
            for (fault, per_minute) in rates {
                for _ in 0..at_least_once(per_minute * minutes) {
                    let latest = (length.as_secs_f64() - 2.0).max(WARM_UP + 1.0);
                    all.push((span(rng.random_range(WARM_UP..latest)), *fault));
                }
            }
            all.sort_by_key(|(at, _)| *at);
            all
        };
        Self { processes: schedule(&processes), network: schedule(&network) }
    }

    /// The number of faults for which `matches` holds.
    pub fn count(&self, matches: impl Fn(&Fault) -> bool) -> usize {
        self.processes.iter().chain(&self.network).filter(|(_, fault)| matches(fault)).count()
    }
}

fn at_least_once(times: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let times = times.round() as u32;
    times.max(1)
}
