//! What goes wrong, and when: a plan made by a seed. The same seed and length make the same plan. Pure.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL for a worker; another one starts.
    KillWorker,
    /// SIGTERM for a worker; another one starts.
    StopWorker,
    /// SIGSTOP for a worker, for so long; another one starts meanwhile.
    FreezeWorker(Duration),
    /// SIGKILL for the API while what it commits cannot be announced.
    KillApi,
    /// A job that ends every worker that runs it.
    Poison,
    /// SIGKILL for Redis, which comes back after so long.
    KillRedis(Duration),
    /// Everything in Redis is gone.
    EmptyRedis,
    /// What the workers say to Redis is refused for so long.
    CutRedis(Duration),
    /// What the workers say to Redis is swallowed for so long.
    SwallowRedis(Duration),
    /// Redis answers the workers late, for so long.
    SlowRedis(Duration),
    /// The mail server answers 451 for so long.
    MailLater(Duration),
    /// The mail server refuses the next mails for good.
    MailNever,
    /// The mail server hangs up on the next mails.
    MailDropped,
    /// The mail server takes the next mails and hangs up without saying so.
    MailTakenAndDropped,
    /// The mail server never answers the next mail.
    MailHangs,
    /// Nobody reaches the mail server for so long.
    CutMail(Duration),
}

/// Faults of processes and those of the network, which go on side by side; each with its time from the begin.
pub struct Plan {
    /// What happens to workers and the API.
    pub processes: Vec<(Duration, Fault)>,
    /// What happens to Redis and the mail server.
    pub network: Vec<(Duration, Fault)>,
}

/// The first seconds are for the workers to get going.
const CALM: f64 = 2.0;

impl Plan {
    /// A plan for so long. What a run of 15 minutes has 225 times comes up 15 times in one, and everything at least once.
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let minutes = length.as_secs_f64() / 60.0;
        let span = |seconds: f64| Duration::from_secs_f64(seconds);
        // Half a minute in a run of half an hour, longer than a lease in any.
        let long = span((minutes * 2.0).clamp(5.0, 30.0));
        let away = span((minutes * 4.0).clamp(5.0, 60.0));
        let second = span(1.0);
        let processes = [
            (Fault::KillWorker, 15.0),
            (Fault::StopWorker, 3.0),
            (Fault::FreezeWorker(long), 3.0),
            (Fault::KillApi, 2.0),
            (Fault::Poison, 2.0),
        ];
        let network = [
            (Fault::KillRedis(second), 3.5),
            (Fault::KillRedis(away), 0.06),
            (Fault::EmptyRedis, 1.5),
            (Fault::CutRedis(second), 2.0),
            (Fault::SwallowRedis(second), 2.0),
            (Fault::SlowRedis(second), 2.0),
            (Fault::MailLater(second / 2), 3.0),
            (Fault::MailNever, 1.0),
            (Fault::MailDropped, 3.0),
            (Fault::MailTakenAndDropped, 4.0),
            (Fault::MailHangs, 1.0),
            (Fault::CutMail(second), 2.0),
        ];
        let mut spread = |kinds: &[(Fault, f64)]| {
            let mut all = Vec::new();
            for (fault, a_minute) in kinds {
                for _ in 0..at_least_once(a_minute * minutes) {
                    let latest = (length.as_secs_f64() - 2.0).max(CALM + 1.0);
                    all.push((span(rng.random_range(CALM..latest)), *fault));
                }
            }
            all.sort_by_key(|(at, _)| *at);
            all
        };
        Self { processes: spread(&processes), network: spread(&network) }
    }

    /// How often something like this comes up.
    pub fn count(&self, like: impl Fn(&Fault) -> bool) -> usize {
        self.processes.iter().chain(&self.network).filter(|(_, fault)| like(fault)).count()
    }
}

fn at_least_once(times: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let times = times.round() as u32;
    times.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_depends_on_the_seed_only() {
        let plan = |seed| Plan::new(seed, Duration::from_secs(60)).processes;
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn fifteen_minutes_have_the_promised_faults() {
        let plan = Plan::new(7, Duration::from_mins(15));
        assert!(plan.count(|fault| *fault == Fault::KillWorker) >= 200);
        assert!(plan.count(|fault| matches!(fault, Fault::KillRedis(_))) >= 50);
        assert!(plan.count(|fault| *fault == Fault::KillApi) >= 20);
        assert!(plan.count(|fault| *fault == Fault::EmptyRedis) >= 10);
    }
}
