//! The apalis side of the worker: a consumer a queue, restarted under a new name whenever it ends.

use std::time::Duration;

use apalis::prelude::{BackendExt, Data, WorkerBuilder, WorkerBuilderExt};
use apalis_redis::RedisStorage;
use metrics::counter;
use shared::{
    jobs::{
        Queue,
        queue::{self, Message},
    },
    platform::metrics::CONSUMER_RESTARTS,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Worker, perform::perform};

const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A consumer beats every second, so by then it has.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Consumes `queue` with at most `concurrency` jobs at once until `stop` is cancelled.
///
/// A consumer ends when Redis is away for longer than it waits. The next one has a name of its own, because apalis
/// does not recover what a consumer left behind while its name is in use.
pub async fn run(worker: &Worker, queue: Queue, concurrency: usize, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match consume(worker, queue, concurrency, stop.clone()).await {
            Ok(()) => break,
            Err(error) => {
                counter!(CONSUMER_RESTARTS, "queue" => queue.name()).increment(1);
                tracing::warn!(
                    queue = queue.name(),
                    error = format!("{error:#}"),
                    "consumer ended; starting another"
                );
                let pause = async {
                    tokio::time::sleep(RESTART_PAUSE).await;
                    worker.app.redis.queue.wait_until_available().await;
                };
                tokio::select! {
                    () = pause => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

async fn consume(
    worker: &Worker,
    queue: Queue,
    concurrency: usize,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let redis = &worker.app.redis;
    let storage: RedisStorage<Message> =
        RedisStorage::new(redis.consumer_connection().await?).with_config(queue::config(redis, queue));
    let name = format!("{}-{}-{}", worker.name, queue.name(), Uuid::new_v4().simple());
    let _expected = worker.vitals.consumer(queue, &name);
    let consumer = WorkerBuilder::new(name.as_str())
        .backend(storage.poll_with_stream(worker.signals.wakes(queue)))
        .concurrency(concurrency)
        .data(worker.clone())
        .build(handle)
        .run_until(async move {
            stop.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
    let running = async { tokio::join!(consumer, queue::expire_name(redis, queue, &name)).0 };
    tokio::select! {
        ended = running => ended.map_err(|error| anyhow::anyhow!("{error}")),
        // The jobs that it began go on.
        () = deaf(worker, queue, &name) => anyhow::bail!("it is deaf since Redis was away"),
    }
}

/// Waits until Redis was away, is back, and the consumer shows no sign of life: it waits for an answer that was lost.
async fn deaf(worker: &Worker, queue: Queue, name: &str) {
    let redis = &worker.app.redis;
    loop {
        redis.queue.reconnected().await;
        // Beats are noted by the second, so one of the second of the return may be from before.
        let since = worker.app.clock.now() + Duration::from_secs(1);
        tokio::time::sleep(SIGN_OF_LIFE).await;
        if queue::alive(redis, queue, &[name.to_owned()], since).await.is_ok_and(|alive| alive == 0) {
            return;
        }
    }
}

/// Runs a job in a task of its own: it ends well even when the consumer does not. apalis is always told success,
/// because what becomes of the job is decided in the ledger.
async fn handle(message: Message, worker: Data<Worker>) {
    let worker = (*worker).clone();
    let task = worker.running.clone().spawn(async move { perform(&worker, message.id).await });
    if let Err(error) = task.await {
        tracing::error!(job.id = %message.id, %error, "the task of a job has ended abnormally");
    }
}
