//! Links the rows of the audit table into its chain, and logs where the chain ends.

use std::time::{Duration, Instant};

use shared::{
    app::App,
    parking::audit::{self, Checkpoint},
};
use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(2);

/// How often a checkpoint is logged while the chain grows.
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);

/// Links every two seconds until `stop`. Several workers may do so at once.
pub async fn run(app: &App, stop: &CancellationToken) {
    let mut log = CheckpointLog::default();
    loop {
        let linked = audit::link_pending(app).await;
        if let Err(error) = linked.and(log.write(app).await) {
            tracing::warn!(error = error.chain(), "cannot link the audit table; retrying");
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

#[derive(Default)]
struct CheckpointLog {
    last: Option<Checkpoint>,
    written_at: Option<Instant>,
}

impl CheckpointLog {
    /// Each worker logs each end, so that the log of any of them is enough.
    async fn write(&mut self, app: &App) -> shared::Result<()> {
        if self.written_at.is_some_and(|at| at.elapsed() < CHECKPOINT_INTERVAL) {
            return Ok(());
        }
        let checkpoint = audit::checkpoint(app).await?;
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| Some(checkpoint) != self.last.as_ref()) {
            tracing::info!(%checkpoint, "end of the audit chain");
            self.last = Some(checkpoint);
            self.written_at = Some(Instant::now());
        }
        Ok(())
    }
}
