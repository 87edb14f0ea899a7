//! Upkeep that nobody asks for: expired reservations, spots to be retired, old idempotency keys.

use std::time::Duration;

use shared::{
    app::App,
    parking::{bookings, lots},
    platform::idempotency,
};
use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(10);

/// Does the upkeep every ten seconds until `stop`. A round that has begun is finished. Several workers may do so at once.
pub async fn run(app: &App, stop: &CancellationToken) {
    loop {
        if let Err(error) = do_upkeep(app).await {
            tracing::warn!(error = error.chain(), "upkeep failed; retrying");
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn do_upkeep(app: &App) -> shared::Result<()> {
    // Each call expires one batch.
    loop {
        match bookings::expire_no_shows(app).await? {
            0 => break,
            expired => tracing::info!(expired, "reservations expired"),
        }
    }
    lots::finish_retirements(app).await?;
    idempotency::delete_expired(&app.db, app.clock.now()).await?;
    Ok(())
}
