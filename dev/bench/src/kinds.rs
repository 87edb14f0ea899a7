//! The kinds of jobs that the benchmarks run, and the clock they are timed with.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::jobs::{Context, Done, Job, Queue};

/// Microseconds since 1970. All processes of a benchmark share one machine, so their clocks agree.
pub fn micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Does nothing; its result is how long it waited to start, in microseconds.
#[derive(Serialize, Deserialize)]
pub struct Noop {
    requested_at: i64,
}

impl Noop {
    pub fn now() -> Self {
        Self { requested_at: micros() }
    }
}

impl Job for Noop {
    const NAME: &'static str = "noop";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, _: &Context) -> shared::Result<Done> {
        Ok(Done::with(json!(micros() - self.requested_at)))
    }
}

/// Reports progress at irregular intervals. The `total` of each report is the time it was made, so a follower can tell
/// how old it is.
#[derive(Serialize, Deserialize)]
pub struct Steps {
    pub steps: i64,
    pub pause_millis: u64,
}

impl Job for Steps {
    const NAME: &'static str = "steps";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        for step in 1..=self.steps {
            let pause = rand::rng().random_range(self.pause_millis / 2..=self.pause_millis * 3 / 2);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            context.progress.set(step, micros());
        }
        Ok(Done::default())
    }
}

/// Runs until it is cancelled, and writes the time it was dropped to a file.
#[derive(Serialize, Deserialize)]
pub struct Endless {
    /// Where the time goes.
    pub note: PathBuf,
}

impl Job for Endless {
    const NAME: &'static str = "endless";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        let _on_drop = WriteOnDrop(&self.note);
        context.progress.set(1, 2);
        std::future::pending().await
    }
}

struct WriteOnDrop<'a>(&'a Path);

impl Drop for WriteOnDrop<'_> {
    fn drop(&mut self) {
        // Written under another name first, so that a reader never sees half of it. Without a file the benchmark fails.
        let part = self.0.with_extension("part");
        let _ = std::fs::write(&part, micros().to_string()).and_then(|()| std::fs::rename(&part, self.0));
    }
}
