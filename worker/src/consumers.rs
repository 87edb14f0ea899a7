//! Keeps the consumers of a queue running: one that ends, or that stalls after an outage of Redis, is replaced.

use std::time::Duration;

use metrics::counter;
use shared::{
    jobs::{Queue, queue},
    platform::metrics::CONSUMER_RESTARTS,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{consume::consume, worker::Worker};

const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A consumer sends a heartbeat every second, so a live one has sent one within this time.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// Jobs that one consumer runs at the same time. It fetches and acknowledges one message after the other, so a queue
/// with a higher concurrency has several consumers.
const JOBS_PER_CONSUMER: usize = 4;

/// How the concurrency of a queue is divided among its consumers.
pub fn split(concurrency: usize) -> impl Iterator<Item = usize> {
    (0..concurrency).step_by(JOBS_PER_CONSUMER).map(move |taken| (concurrency - taken).min(JOBS_PER_CONSUMER))
}

/// Consumes `queue` with at most `concurrency` jobs at once until `stop` is cancelled.
pub async fn run(worker: &Worker, queue: Queue, concurrency: usize, stop: CancellationToken) {
    while let Err(error) = consume_until_stalled(worker, queue, concurrency, stop.clone()).await {
        let name = queue.name();
        counter!(CONSUMER_RESTARTS, "queue" => name).increment(1);
        tracing::warn!(queue = name, error = format!("{error:#}"), "consumer ended; starting another");
        let pause = async {
            tokio::time::sleep(RESTART_PAUSE).await;
            worker.app.redis.queue.wait_until_available().await;
        };
        tokio::select! {
            () = pause => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn consume_until_stalled(
    worker: &Worker,
    queue: Queue,
    concurrency: usize,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // apalis redelivers the messages of a dead consumer only once its name is no longer in use.
    let name = format!("{}-{}-{}", worker.name, queue.name(), Uuid::new_v4().simple());
    let _expected = worker.health.expect_consumer(queue, &name);
    let consumer = consume(worker, queue, &name, concurrency, stop);
    let consumer = async { tokio::join!(consumer, queue::expire_name(&worker.app.redis, queue, &name)).0 };
    tokio::select! {
        ended = consumer => ended,
        // The jobs that it has started continue.
        () = wait_until_stalled(worker, queue, &name) => {
            anyhow::bail!("no heartbeat since Redis is back")
        }
    }
}

/// Waits until Redis has been away and is back, but the consumer sends no heartbeat: it waits for a reply that was lost.
async fn wait_until_stalled(worker: &Worker, queue: Queue, name: &str) {
    let redis = &worker.app.redis;
    loop {
        redis.queue.reconnected().await;
        // Heartbeats are stored in seconds, so one in the current second may be from before the outage.
        let since = worker.app.clock.now() + Duration::from_secs(1);
        tokio::time::sleep(HEARTBEAT_TIMEOUT).await;
        if queue::count_alive(redis, queue, &[name.to_owned()], since).await.is_ok_and(|alive| alive == 0) {
            return;
        }
    }
}
