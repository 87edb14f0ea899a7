//! What has to happen as time goes by, without anybody asking for it.

use std::time::Duration;

use shared::{app::App, bookings};

const PAUSE: Duration = Duration::from_secs(10);

/// Gives up reservations for which nobody came, for as long as it is polled. Workers may do this side by side.
pub async fn run(app: &App) {
    loop {
        match bookings::expire_no_shows(app).await {
            // There may be more than one call ends.
            Ok(ended) if ended > 0 => tracing::info!(ended, "reservations have expired"),
            Ok(_) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::warn!(error = error.chain(), "cannot look for reservations that have expired");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
