//! Load of bookings and releases: each client books a spot, releases it, and begins again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::{
    http::Connection,
    report::{Report, percentile, sorted},
};
use serde_json::Value;
use tokio::task::JoinSet;

/// Stays go to the lots from 1 to this one.
pub const LOTS: i64 = 20;

/// Stays, each booked and then released, by some clients at the same time.
pub struct Stays {
    /// Stays per second.
    pub rate: f64,
    /// How long single requests took, in milliseconds, sorted.
    times: Vec<f64>,
    /// Requests rejected for lack of capacity.
    rejected: usize,
    /// Stays that have ended.
    pub count: usize,
}

impl Stays {
    /// Adds rate and response times.
    pub fn add_to(&self, report: &mut Report, label: &impl Fn(&str) -> String) {
        let note = if self.rejected == 0 { String::new() } else { format!("{} rejected", self.rejected) };
        report.add(label("book and release"), self.rate, "flows/s", note);
        for (share, what) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            report.add(label(&format!("{what} of a request")), percentile(&self.times, share), "ms", "");
        }
    }
}

/// As many clients as there are tokens, for some seconds.
pub async fn stays(address: &str, tokens: &[String], seconds: u64) -> Result<Stays> {
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let mut clients = JoinSet::new();
    for token in tokens {
        let mut client = Client::new(address, token).await?;
        clients.spawn(async move {
            while Instant::now() < end {
                client.stay().await?;
            }
            anyhow::Ok(client)
        });
    }
    let (mut times, mut rejected) = (Vec::new(), 0);
    while let Some(done) = clients.join_next().await {
        let client = done??;
        times.extend(client.times);
        rejected += client.rejected;
    }
    let count = times.len() / 2;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = count as f64 / started.elapsed().as_secs_f64();
    Ok(Stays { rate, times: sorted(times), rejected, count })
}

/// A driver.
pub struct Client {
    connection: Connection,
    token: String,
    times: Vec<f64>,
    rejected: usize,
}

impl Client {
    pub async fn new(address: &str, token: &str) -> Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { connection, token: token.to_owned(), times: Vec::new(), rejected: 0 })
    }

    /// Books a spot of any lot and releases it.
    pub async fn stay(&mut self) -> Result<()> {
        let lot = rand::random_range(1..=LOTS);
        let answer = self.post("/api/booking/book-spot", &format!("{{\"lot_id\":{lot}}}"), 201).await?;
        let id = answer["reservation"]["id"].as_i64().context("a reservation without an id")?;
        let body =
            format!("{{\"reservation_id\":{id},\"payment_method\":\"card\",\"transaction_id\":\"TXN{id}\"}}");
        self.post("/api/booking/release-spot", &body, 200).await?;
        Ok(())
    }

    /// Repeats the request until it is not rejected for lack of capacity.
    async fn post(&mut self, path: &str, body: &str, expected: u16) -> Result<Value> {
        loop {
            let sent = Instant::now();
            let (status, answer) = self.connection.post(path, &self.token, body).await?;
            if status == 503 {
                self.rejected += 1;
                continue;
            }
            self.times.push(sent.elapsed().as_secs_f64() * 1000.0);
            ensure!(status == expected, "{path}: status {status}: {answer}");
            return Ok(serde_json::from_str(&answer)?);
        }
    }
}
