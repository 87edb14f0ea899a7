//! Four times as many calls come as can be answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devstack::Process;
use tokio::{net::TcpStream, task::JoinHandle};

use super::{
    arrivals::{Answer, Crowd, Outcome},
    ground::Ground,
};
use crate::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
};

/// How many call at once while it is found out how much can be answered: fewer than are let in.
const CALLERS: usize = 32;

/// How often that is found out; the most counts.
const TRIES: u32 = 3;

/// How much more comes then.
const TIMES: f64 = 4.0;

/// What a process may need for that, in MiB.
const MEMORY: f64 = 256.0;

/// Connections that nobody uses.
const IDLE: usize = 9_000;

/// Lets it happen and takes the figures.
pub async fn run(ground: &mut Ground, report: &mut Report, time: Duration) -> Result<()> {
    let people = ground.people(256).await?;
    let (api, address) = ground.api(&[("LOG_LEVEL", "info"), ("MAX_REQUESTS", "64")]).await?;
    let crowd = Crowd::new(&address, people);
    let label = |what: &str| format!("{}: {what}", ground.name());

    crowd.in_turn(CALLERS, Duration::from_secs(2)).await?;
    let mut saturation = 0.0_f64;
    for _ in 0..TRIES {
        let try_for = Duration::from_secs(3);
        let calm = crowd.in_turn(CALLERS, try_for).await?;
        saturation = saturation.max(rate(&calm, Answer::Served, try_for));
        report.add(label("as many as can be answered"), saturation, "/s", spread(&calm, Answer::Served));
    }
    let before = api.memory()?.rss_bytes;
    let health = Health::watch(&address);
    let outcomes = crowd.at_rate(TIMES * saturation, time).await?;
    let over = Instant::now();
    let normal = normal_after(&crowd, over).await?;
    health.report(ground.name(), report).await?;
    figures(ground.name(), &outcomes, time, saturation, report);
    for wrong in crowd.wrong() {
        println!("{}: {wrong}", ground.name());
    }
    report.must(label("normal again after"), normal, "s", Goal::AtMost(5.0));
    let (peak, grown) = (mib(api.memory()?.peak_bytes), mib(api.memory()?.rss_bytes.saturating_sub(before)));
    report.must(label("memory at the most"), peak, "MiB", Goal::AtMost(MEMORY));
    report.add(label("memory more than before"), grown, "MiB", "");
    idle(ground.name(), (&api, &address), report).await
}

fn figures(name: &str, outcomes: &[Outcome], time: Duration, saturation: f64, report: &mut Report) {
    let label = |what: &str| format!("{name}: {what}");
    let lag = percentile(&sorted(outcomes.iter().map(|outcome| outcome.lag).collect()), 0.99);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let came = outcomes.len() as f64 / time.as_secs_f64();
    report.must(label("times as many came"), came / saturation, "", Goal::AtLeast(0.95 * TIMES));
    report.add(label("they were late by themselves, p99"), lag, "ms", "");
    for (answer, what, limit) in [(Answer::Served, "served", 500.0), (Answer::Refused, "refused", 20.0)] {
        report.add(label(what), rate(outcomes, answer, time), "/s", spread(outcomes, answer));
        let p99 = percentile(&times(outcomes, answer), 0.99);
        report.must(label(&format!("{what}, p99")), p99, "ms", Goal::AtMost(limit));
    }
    let wrong = rate(outcomes, Answer::Wrong, Duration::from_secs(1));
    report.must(label("answered otherwise"), wrong, "", Goal::AtMost(0.0));
}

fn times(outcomes: &[Outcome], answer: Answer) -> Vec<f64> {
    let these = outcomes.iter().filter(|outcome| outcome.answer == answer);
    sorted(these.map(|outcome| outcome.millis).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(outcomes: &[Outcome], answer: Answer, time: Duration) -> f64 {
    outcomes.iter().filter(|outcome| outcome.answer == answer).count() as f64 / time.as_secs_f64()
}

fn spread(outcomes: &[Outcome], answer: Answer) -> String {
    let times = times(outcomes, answer);
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(&times, share));
    format!("p50 {p50:.1} ms, p99 {p99:.1}, most {most:.1}")
}

#[expect(clippy::cast_precision_loss, reason = "a size")]
fn mib(bytes: u64) -> f64 {
    (bytes >> 10) as f64 / 1024.0
}

/// How many seconds until a second of calls as before is served as a whole, and soon.
async fn normal_after(crowd: &Arc<Crowd>, over: Instant) -> Result<f64> {
    while over.elapsed() < Duration::from_secs(30) {
        let begun = over.elapsed().as_secs_f64();
        let outcomes = crowd.in_turn(4, Duration::from_millis(500)).await?;
        let is_served = outcomes.iter().all(|outcome| outcome.answer == Answer::Served);
        if is_served && percentile(&times(&outcomes, Answer::Served), 0.9) < 100.0 {
            return Ok(begun);
        }
    }
    Ok(f64::NAN)
}

/// Somebody who asks all the time whether the process is there.
struct Health {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Result<Vec<(u16, f64)>>>,
}

impl Health {
    fn watch(address: &str) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), address.to_owned());
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for path in ["/api/health/live", "/api/health/ready", "/health"] {
                    let begun = Instant::now();
                    // As orchestrators do: a connection for each question.
                    let mut connection = Connection::open(&address).await?;
                    let (status, _) = connection.send(&request(&address, "GET", path, "", "")).await?;
                    answers.push((status, begun.elapsed().as_secs_f64() * 1e3));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(answers)
        });
        Self { stop, asking }
    }

    async fn report(self, name: &str, report: &mut Report) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.asking.await?.context("asking for the health")?;
        let ill = answers.iter().filter(|(status, _)| *status != 200).count();
        let times = sorted(answers.iter().map(|(_, millis)| *millis).collect());
        let note = format!("of {}, p99 {:.1} ms", answers.len(), percentile(&times, 0.99));
        report.add(format!("{name}: questions for the health"), percentile(&times, 0.5), "ms", note);
        let ill = f64::from(u32::try_from(ill)?);
        report.must(format!("{name}: of those not answered 200"), ill, "", Goal::AtMost(0.0));
        Ok(())
    }
}

/// Many connect and say nothing.
async fn idle(name: &str, (api, address): (&Process, &str), report: &mut Report) -> Result<()> {
    let before = api.memory()?.rss_bytes;
    let mut silent = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        silent.push(TcpStream::connect(address).await?);
    }
    let mut connection = Connection::open(address).await?;
    let (status, _) = connection.send(&request(address, "GET", "/api/parking-lots", "", "")).await?;
    ensure!(status == 200, "beside {IDLE} connections that nobody uses: {status}");
    let grown = mib(api.memory()?.rss_bytes.saturating_sub(before));
    report.add(format!("{name}: memory for {IDLE} idle connections"), grown, "MiB", "");
    let peak = mib(api.memory()?.peak_bytes);
    report.must(format!("{name}: memory with those at the most"), peak, "MiB", Goal::AtMost(MEMORY));
    Ok(())
}
