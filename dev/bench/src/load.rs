//! Closed-loop load: each client sends its next request as soon as the last one is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use bench::{
    http::Connection,
    report::{percentile, sorted},
};

/// How one call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// 503: the server was at capacity.
    Rejected,
}

/// What the clients observed.
pub struct Load {
    /// Answers per second.
    pub rate: f64,
    /// Calls that were rejected for lack of capacity.
    rejected: usize,
    /// How long each answer took, in milliseconds, sorted.
    times: Vec<f64>,
}

impl Load {
    /// Of calls made since `started`; their durations are in milliseconds.
    pub fn new(started: Instant, times: Vec<f64>, rejected: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = times.len() as f64 / started.elapsed().as_secs_f64();
        Self { rate, rejected, times: sorted(times) }
    }

    /// The time in milliseconds within which this share of the answers came.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.times, share)
    }

    /// Percentiles, and how many calls were rejected.
    pub fn summary(&self) -> String {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| self.percentile(share));
        let rejected =
            if self.rejected == 0 { String::new() } else { format!(", {} rejected", self.rejected) };
        format!("p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}{rejected}")
    }
}

/// One client for each request, which it repeats on its own connection for this long.
pub async fn clients(address: &str, requests: &[Vec<u8>], duration: Duration) -> Result<Load> {
    let mut clients = Vec::new();
    for request in requests {
        clients.push((Connection::open(address).await?, Arc::<[u8]>::from(request.as_slice())));
    }
    repeat(clients, duration, |(mut connection, request)| async move {
        let (status, body) = connection.send(&request).await?;
        if status == 503 {
            return Ok(((connection, request), Outcome::Rejected));
        }
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(body));
        Ok(((connection, request), Outcome::Answered))
    })
    .await
}

/// Repeats `call` for each of the clients, all at the same time, for this long.
pub async fn repeat<T, F, Fut>(clients: Vec<T>, duration: Duration, call: F) -> Result<Load>
where
    T: Send + 'static,
    F: Fn(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(T, Outcome)>> + Send,
{
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let call = call.clone();
        tasks.spawn(async move {
            let (mut times, mut rejected) = (Vec::new(), 0);
            while started.elapsed() < duration {
                let sent = Instant::now();
                let outcome;
                (client, outcome) = call(client).await?;
                match outcome {
                    Outcome::Answered => times.push(sent.elapsed().as_secs_f64() * 1000.0),
                    Outcome::Rejected => rejected += 1,
                }
            }
            anyhow::Ok((times, rejected))
        });
    }
    let (mut times, mut rejected) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (more, rejections) = done??;
        times.extend(more);
        rejected += rejections;
    }
    Ok(Load::new(started, times, rejected))
}
