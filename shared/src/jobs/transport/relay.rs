//! The relay pushes due jobs that are not claimed into Redis. It alone is enough for every job to run.

use std::time::{Duration, Instant};

use super::{
    queue,
    selection::{HEAD_START, Selection},
};
use crate::{
    app::App,
    base::error::Result,
    jobs::{ledger, status},
    platform::queue::Queue,
};

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_UNDER_LOAD: Duration = Duration::from_millis(50);
const TIDY_BATCH: usize = 1_000;
const PUSH_BATCH: usize = 100;

/// The relay of one queue. Every worker has one: a job pushed by two of them is still claimed once.
#[derive(Debug)]
pub struct Relay {
    app: App,
    queue: Queue,
    selection: Selection,
    started: Instant,
}

impl Relay {
    /// A relay that has not pushed anything yet.
    #[must_use]
    pub fn new(app: App, queue: Queue) -> Self {
        Self { app, queue, selection: Selection::new(queue::MAX_WAITING), started: Instant::now() }
    }

    /// Pushes due jobs until the future is dropped.
    pub async fn run(&mut self) {
        loop {
            let pause = match self.sweep().await {
                Ok(true) => PAUSE_UNDER_LOAD,
                Ok(false) => PAUSE,
                Err(error) => {
                    let queue = self.queue.name();
                    // The link to Redis logs an outage once.
                    if self.app.redis.queue.connection().is_ok() {
                        tracing::warn!(queue, error = error.chain(), "pushing due jobs failed; retrying");
                    }
                    self.app.redis.queue.wait_until_available().await;
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Pushes what is due now. `true` if there is more to do at once.
    pub async fn sweep(&mut self) -> Result<bool> {
        let (app, queue) = (&self.app, self.queue);
        // By a wrong clock, too many jobs are due, or none.
        if app.wrong_clock().await.is_some() {
            return Ok(false);
        }
        let tidied = queue::tidy(&app.redis, queue, TIDY_BATCH).await?;
        for id in ledger::fail_poison(&app.db, app.clock.now()).await? {
            tracing::error!(job.id = %id, "job failed: its worker vanished three times in a row");
            status::publish_from_ledger(app, id).await;
        }
        let waiting = queue::waiting(&app.redis, queue).await?;
        let room = self.selection.room(waiting);
        if room == 0 {
            return Ok(tidied >= TIDY_BATCH);
        }
        let limit = self.selection.rows_to_read(waiting);
        let due = ledger::due(&app.db, app.clock.now(), HEAD_START, queue, limit).await?;
        let selected = self.selection.select(due, waiting, self.started.elapsed());
        // In small batches, because the relays of other workers push at the same time.
        for batch in selected.chunks(PUSH_BATCH) {
            let ids: Vec<_> = batch.iter().map(|job| job.id).collect();
            queue::push(&app.redis, queue, &ids).await?;
            self.selection.record(batch, self.started.elapsed());
            if app.redis.last_backlog(queue) >= queue::MAX_WAITING {
                break;
            }
        }
        Ok(selected.len() as u64 >= room || tidied >= TIDY_BATCH)
    }
}
