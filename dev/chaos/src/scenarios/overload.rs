//! Overload: four times as many requests arrive as can be answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bench::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
};
use devstack::Process;
use tokio::{net::TcpStream, task::JoinHandle};

use super::{
    open_loop::{Answer, Clients, Outcome},
    testbed::Testbed,
};

/// Simultaneous requests while the capacity is measured: fewer than the API admits.
const CLIENTS: usize = 32;

/// How often the capacity is measured; the highest result counts.
const TRIES: u32 = 3;

/// How many times the capacity arrives.
const FACTOR: f64 = 4.0;

/// The most memory that the API may use, in MiB.
const MEMORY: f64 = 256.0;

const IDLE_CONNECTIONS: usize = 9_000;

pub async fn run(testbed: &Testbed, report: &mut Report, time: Duration) -> Result<()> {
    let users = testbed.users(256).await?;
    let (api, address) = testbed.api(&[("LOG_LEVEL", "info"), ("MAX_REQUESTS", "64")]).await?;
    let clients = Clients::new(&address, users);
    let label = |what: &str| format!("{}: {what}", testbed.name());

    clients.closed_loop(CLIENTS, Duration::from_secs(2)).await?;
    let mut capacity = 0.0_f64;
    for _ in 0..TRIES {
        let duration = Duration::from_secs(3);
        let outcomes = clients.closed_loop(CLIENTS, duration).await?;
        capacity = capacity.max(rate(&outcomes, Answer::Served, duration));
        report.add(label("capacity"), capacity, "/s", summary(&outcomes, Answer::Served));
    }
    let before = api.memory()?.rss_bytes;
    let health = Health::watch(&address);
    let outcomes = clients.open_loop(FACTOR * capacity, time).await?;
    let ended = Instant::now();
    let recovered = recovered_after(&clients, ended).await?;
    health.report(testbed.name(), report).await?;
    add_outcomes(testbed.name(), &outcomes, time, capacity, report);
    for wrong in clients.wrong() {
        println!("{}: {wrong}", testbed.name());
    }
    report.require(label("normal response times again after"), recovered, "s", Goal::AtMost(5.0));
    let (peak, grown) = (mib(api.memory()?.peak_bytes), mib(api.memory()?.rss_bytes.saturating_sub(before)));
    report.require(label("peak memory"), peak, "MiB", Goal::AtMost(MEMORY));
    report.add(label("memory above the start"), grown, "MiB", "");
    idle_connections(testbed.name(), (&api, &address), report).await
}

fn add_outcomes(name: &str, outcomes: &[Outcome], time: Duration, capacity: f64, report: &mut Report) {
    let label = |what: &str| format!("{name}: {what}");
    let lag = percentile(&sorted(outcomes.iter().map(|outcome| outcome.lag).collect()), 0.99);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let arrived = outcomes.len() as f64 / time.as_secs_f64();
    report.require(label("arrivals / capacity"), arrived / capacity, "", Goal::AtLeast(0.95 * FACTOR));
    report.add(label("sent late, p99"), lag, "ms", "");
    for (answer, what, limit) in [(Answer::Served, "served", 500.0), (Answer::Rejected, "rejected", 20.0)] {
        report.add(label(what), rate(outcomes, answer, time), "/s", summary(outcomes, answer));
        let p99 = percentile(&times(outcomes, answer), 0.99);
        report.require(label(&format!("{what}, p99")), p99, "ms", Goal::AtMost(limit));
    }
    let wrong = rate(outcomes, Answer::Wrong, Duration::from_secs(1));
    report.require(label("other answers"), wrong, "", Goal::AtMost(0.0));
}

fn times(outcomes: &[Outcome], answer: Answer) -> Vec<f64> {
    let these = outcomes.iter().filter(|outcome| outcome.answer == answer);
    sorted(these.map(|outcome| outcome.millis).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(outcomes: &[Outcome], answer: Answer, time: Duration) -> f64 {
    outcomes.iter().filter(|outcome| outcome.answer == answer).count() as f64 / time.as_secs_f64()
}

fn summary(outcomes: &[Outcome], answer: Answer) -> String {
    let times = times(outcomes, answer);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&times, share));
    format!("p50 {p50:.1} ms, p99 {p99:.1}, max {max:.1}")
}

#[expect(clippy::cast_precision_loss, reason = "a size")]
fn mib(bytes: u64) -> f64 {
    (bytes >> 10) as f64 / 1024.0
}

/// Seconds until all requests of half a second are served soon again.
async fn recovered_after(clients: &Arc<Clients>, ended: Instant) -> Result<f64> {
    while ended.elapsed() < Duration::from_secs(30) {
        let after = ended.elapsed().as_secs_f64();
        let outcomes = clients.closed_loop(4, Duration::from_millis(500)).await?;
        let all_served = outcomes.iter().all(|outcome| outcome.answer == Answer::Served);
        if all_served && percentile(&times(&outcomes, Answer::Served), 0.9) < 100.0 {
            return Ok(after);
        }
    }
    Ok(f64::NAN)
}

/// Polls the health of the API.
struct Health {
    stop: Arc<AtomicBool>,
    polling: JoinHandle<Result<Vec<(u16, f64)>>>,
}

impl Health {
    fn watch(address: &str) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), address.to_owned());
        let stopped = stop.clone();
        let polling = tokio::spawn(async move {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for path in ["/api/health/live", "/api/health/ready", "/health"] {
                    let sent = Instant::now();
                    // As orchestrators do: a connection for each request.
                    let mut connection = Connection::open(&address).await?;
                    let (status, _) = connection.send(&request(&address, "GET", path, "", "")).await?;
                    answers.push((status, sent.elapsed().as_secs_f64() * 1e3));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(answers)
        });
        Self { stop, polling }
    }

    async fn report(self, name: &str, report: &mut Report) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.polling.await?.context("polling the health")?;
        let ill = answers.iter().filter(|(status, _)| *status != 200).count();
        let times = sorted(answers.iter().map(|(_, millis)| *millis).collect());
        let note = format!("of {}, p99 {:.1} ms", answers.len(), percentile(&times, 0.99));
        report.add(format!("{name}: health requests"), percentile(&times, 0.5), "ms", note);
        let ill = f64::from(u32::try_from(ill)?);
        report.require(format!("{name}: of these not answered with 200"), ill, "", Goal::AtMost(0.0));
        Ok(())
    }
}

/// Many connections on which nothing is sent.
async fn idle_connections(name: &str, (api, address): (&Process, &str), report: &mut Report) -> Result<()> {
    let before = api.memory()?.rss_bytes;
    let mut idle = Vec::with_capacity(IDLE_CONNECTIONS);
    for _ in 0..IDLE_CONNECTIONS {
        idle.push(TcpStream::connect(address).await?);
    }
    let mut connection = Connection::open(address).await?;
    let (status, _) = connection.send(&request(address, "GET", "/api/parking-lots", "", "")).await?;
    ensure!(status == 200, "status {status} beside {IDLE_CONNECTIONS} idle connections");
    let grown = mib(api.memory()?.rss_bytes.saturating_sub(before));
    report.add(format!("{name}: memory for {IDLE_CONNECTIONS} idle connections"), grown, "MiB", "");
    let peak = mib(api.memory()?.peak_bytes);
    report.require(format!("{name}: peak memory with idle connections"), peak, "MiB", Goal::AtMost(MEMORY));
    Ok(())
}
