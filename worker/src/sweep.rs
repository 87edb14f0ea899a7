//! What has to happen as time goes by, without anybody asking for it.

use std::time::Duration;

use shared::{app::App, bookings, lots};

const PAUSE: Duration = Duration::from_secs(10);

/// Gives up reservations for which nobody came, and takes spots out of service that wait for it, for as long as it is
/// polled. Workers may do this side by side.
pub async fn run(app: &App) {
    loop {
        if let Err(error) = sweep(app).await {
            tracing::warn!(error = error.chain(), "cannot do what is due; trying again");
        }
        tokio::time::sleep(PAUSE).await;
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
    Ok(())
}
