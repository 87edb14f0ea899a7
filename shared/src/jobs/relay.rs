//! The sweep: pushes due jobs that nobody has claimed into Redis. It alone is enough for every job to run.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    Queue,
    backlog::{self, Due},
    queue, status,
};
use crate::{app::App, base::error::Result};

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_UNDER_LOAD: Duration = Duration::from_millis(50);
const TIDY_BATCH: usize = 1_000;
const CHUNK: usize = 100;

/// Whoever enqueued a job announces it, so it is left to them for this long.
const HEAD_START: Duration = Duration::from_secs(1);

/// A job that was pushed and not claimed is pushed again after this long: Redis may have lost it. Where nothing
/// waits in Redis any more, it has, unless a consumer is just about to claim the job.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_WITH_EMPTY_QUEUE: Duration = Duration::from_secs(1);

/// A job that has been run before is mostly one whose worker has died, and its message may have gone with another one.
/// There are few of these, so a message too many costs little.
const PATIENCE_AFTER_A_RUN: Duration = Duration::from_secs(2);

/// The sweeper of one queue in one worker. Every worker has one; a job pushed twice is claimed once.
#[derive(Debug)]
pub struct Relay {
    app: App,
    queue: Queue,
    /// What was pushed lately, by job and attempt.
    pushed: HashMap<Due, Instant>,
}

impl Relay {
    /// A sweeper that has not pushed anything yet.
    #[must_use]
    pub fn new(app: App, queue: Queue) -> Self {
        Self { app, queue, pushed: HashMap::new() }
    }

    /// Sweeps until the future is dropped.
    pub async fn run(&mut self) {
        loop {
            let pause = match self.sweep().await {
                Ok(true) => PAUSE_UNDER_LOAD,
                Ok(false) => PAUSE,
                Err(error) => {
                    tracing::warn!(
                        queue = self.queue.name(),
                        error = error.chain(),
                        "sweep failed; trying again"
                    );
                    self.app.redis.queue.wait_until_available().await;
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One sweep. `true` when there is more to do at once.
    ///
    /// # Errors
    /// Those of the database and of Redis.
    pub async fn sweep(&mut self) -> Result<bool> {
        let (app, queue) = (&self.app, self.queue);
        let tidied = queue::tidy(&app.redis, queue, TIDY_BATCH).await?;
        for id in backlog::bury_poison(&app.db, app.clock.now()).await? {
            tracing::error!(job.id = %id, "job given up: its worker vanished three times in a row");
            status::publish_from_ledger(app, id).await;
        }
        let waiting = queue::waiting(&app.redis, queue).await?;
        let room = queue::MOST_WAITING.saturating_sub(waiting);
        if room == 0 {
            return Ok(tidied >= TIDY_BATCH);
        }
        let patience = if waiting == 0 { PATIENCE_WITH_EMPTY_QUEUE } else { PATIENCE };
        let patience_for =
            |job: &Due| if job.attempt > 0 { patience.min(PATIENCE_AFTER_A_RUN) } else { patience };
        self.pushed.retain(|job, at| at.elapsed() < patience_for(job));
        let asked = room + self.pushed.len() as u64;
        let due = backlog::due(&app.db, app.clock.now(), HEAD_START, queue, asked).await?;
        // What is not due any more has been claimed.
        let still_due: HashSet<Due> = due.iter().copied().collect();
        self.pushed.retain(|job, _| still_due.contains(job));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let fresh: Vec<Due> =
            due.into_iter().filter(|job| !self.pushed.contains_key(job)).take(room).collect();
        // A little at a time, with a look at what the other workers' relays have pushed meanwhile.
        for chunk in fresh.chunks(CHUNK) {
            let ids: Vec<_> = chunk.iter().map(|job| job.id).collect();
            queue::push(&app.redis, queue, &ids).await?;
            self.pushed.extend(chunk.iter().map(|job| (*job, Instant::now())));
            if app.redis.last_backlog(queue) >= queue::MOST_WAITING {
                break;
            }
        }
        Ok(fresh.len() >= room || tidied >= TIDY_BATCH)
    }
}
