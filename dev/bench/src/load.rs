//! Some clients who ask again and again, each for as long as the others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::{
    http::Connection,
    report::{percentile, sorted},
};

/// What the clients saw.
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// How long each answer took, in milliseconds, sorted.
    times: Vec<f64>,
}

impl Load {
    /// What single calls since `begun` took.
    pub fn of(begun: Instant, times: Vec<f64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        Self { rate, times: sorted(times) }
    }

    /// Below which time this share of the answers came, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.times, share)
    }

    /// How long answers took.
    pub fn spread(&self) -> String {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| self.percentile(share));
        format!("p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}")
    }
}

/// Every client keeps one connection and sends its one of `requests` until the time is over.
pub async fn clients(address: &str, requests: &[Vec<u8>], time: Duration) -> Result<Load> {
    let mut clients = Vec::new();
    for request in requests {
        clients.push((Connection::open(address).await?, Arc::<[u8]>::from(request.as_slice())));
    }
    repeat(clients, time, |(mut connection, request)| async move {
        let (status, body) = connection.send(&request).await?;
        ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
        Ok((connection, request))
    })
    .await
}

/// Everybody acts again and again, all at once, until the time is over.
pub async fn repeat<T, F, Fut>(everybody: Vec<T>, time: Duration, act: F) -> Result<Load>
where
    T: Send + 'static,
    F: Fn(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T>> + Send,
{
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut one in everybody {
        let act = act.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                one = act(one).await?;
                times.push(asked.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Load::of(begun, times))
}
