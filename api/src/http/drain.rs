//! How the API stops without losing a request.
//!
//! First it says that it is not ready and closes each connection after its next answer, while it goes on as before: a proxy
//! that looks after it sends no more. Then it takes no new connections and finishes what is open.

use std::time::Duration;

use shared::app::App;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Open requests may take so long after the last new one.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Answers requests until SIGTERM, or until SIGINT by somebody who does not want to wait.
///
/// # Errors
/// Those of the listener.
pub async fn serve(listener: TcpListener, app: &App) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (ending, noticed) = (app.clone(), app.config.drain);
    let stop = async move {
        let is_urgent = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => true,
        };
        tracing::info!("stop asked for; not ready for more requests");
        ending.draining.cancel();
        if !is_urgent {
            tokio::time::sleep(noticed).await;
        }
        tracing::info!("finishing open requests");
        ending.followers.close();
    };
    let overdue = async {
        app.followers.closed().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        served = crate::serve_until(listener, crate::router(app.clone()), stop) => served?,
        () = overdue => tracing::warn!("some requests took too long and are cut off"),
    }
    Ok(())
}
