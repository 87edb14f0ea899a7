//! The sweep: pushes due jobs that nobody has claimed into Redis. It alone is enough for every job to run.

use std::time::Duration;

use super::{Queue, ledger, queue, signals::Signals, status};
use crate::{app::App, error::Result};

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_UNDER_LOAD: Duration = Duration::from_millis(20);
const TIDY_BATCH: usize = 1_000;

/// Sweeps one queue until the future is dropped. Every worker does; doing it twice is harmless.
pub async fn run(app: &App, queue: Queue) {
    loop {
        let pause = match sweep(app, queue).await {
            Ok(true) => PAUSE_UNDER_LOAD,
            Ok(false) => PAUSE,
            Err(error) => {
                tracing::warn!(queue = queue.name(), error = error.chain(), "sweep failed; trying again");
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
pub async fn sweep(app: &App, queue: Queue) -> Result<bool> {
    let tidied = queue::tidy(&app.redis, queue, TIDY_BATCH).await?;
    for id in ledger::bury_poison(&app.db, app.clock.now()).await? {
        tracing::error!(job.id = %id, "job given up: its worker vanished three times in a row");
        status::publish_from_ledger(app, id).await;
    }
    let waiting = queue::waiting(&app.redis, queue).await?;
    let room = queue::MOST_WAITING.saturating_sub(waiting);
    if room == 0 {
        return Ok(true);
    }
    let due = ledger::due(&app.db, app.clock.now(), queue, room).await?;
    if due.is_empty() {
        return Ok(tidied == TIDY_BATCH);
    }
    if waiting == 0 {
        // Redis has nothing to hand out, so what it still remembers of these is a leftover.
        let leftovers: Vec<String> = due.iter().map(ToString::to_string).collect();
        queue::forget(&app.redis, queue, &leftovers).await?;
    }
    queue::push(&app.redis, queue, &due).await?;
    Ok(due.len() as u64 >= room || tidied == TIDY_BATCH)
}

/// Sweeps every queue, and listens for signals, until the future is dropped.
pub async fn run_all(app: &App, signals: &Signals) {
    tokio::join!(
        run(app, Queue::Mail),
        run(app, Queue::Exports),
        run(app, Queue::Maintenance),
        signals.listen(&app.redis)
    );
}
