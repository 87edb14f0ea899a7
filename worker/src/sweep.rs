//! What has to happen as time goes by, without anybody asking for it.

use std::time::Duration;

use shared::{
    app::App,
    parking::{bookings, lots},
    platform::idempotency,
};
use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(10);

/// Gives up reservations for which nobody came, and takes spots out of service that wait for it, for as long as it is
/// polled, until `stop`: never in the middle. Workers may do this side by side.
pub async fn run(app: &App, stop: &CancellationToken) {
    loop {
        if let Err(error) = sweep(app).await {
            tracing::warn!(error = error.chain(), "cannot do what is due; trying again");
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn sweep(app: &App) -> shared::Result<()> {
    // There may be more than one call ends.
    loop {
        match bookings::expire_no_shows(app).await? {
            0 => break,
            ended => tracing::info!(ended, "reservations have expired"),
        }
    }
    lots::finish_retirements(app).await?;
    idempotency::delete_expired(&app.db, app.clock.now()).await?;
    Ok(())
}
