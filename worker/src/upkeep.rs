//! Periodic maintenance: expired reservations, windows whose spot is occupied, spots to retire, old idempotency keys.

use std::time::Duration;

use shared::{
    app::App,
    parking::{bookings, lots},
    platform::idempotency,
};
use tokio_util::sync::CancellationToken;

const PAUSE: Duration = Duration::from_secs(10);

/// Runs every ten seconds until `stop`, unless the clock is wrong. A round that has begun is finished. Several workers may do so at once.
pub async fn run(app: &App, stop: &CancellationToken) {
    loop {
        if let Err(error) = run_once(app).await {
            tracing::warn!(error = error.chain(), "maintenance failed; retrying");
        }
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn run_once(app: &App) -> shared::Result<()> {
    if app.wrong_clock().await.is_some() {
        return Ok(());
    }
    // Each call expires one batch.
    loop {
        match bookings::expire_no_shows(app).await? {
            0 => break,
            expired => tracing::info!(expired, "reservations expired"),
        }
    }
    match bookings::reseat_all(app).await? {
        0 => {}
        moved => tracing::info!(moved, "reservations moved to other spots"),
    }
    lots::finish_retirements(app).await?;
    idempotency::delete_expired(&app.db, app.clock.now()).await?;
    Ok(())
}
