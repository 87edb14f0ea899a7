//! How the API stops without losing a request.
//!
//! First it reports that it is not ready, and closes each connection after its next response, while it serves as before: a proxy
//! that checks its health sends no more requests. Then it accepts no new connections and finishes the open ones.

use std::time::Duration;

use axum::Router;
use shared::{app::App, jobs::followers::Followers};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::http::server::serve_until;

/// Open requests get this long after the last new one.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until SIGTERM, or until SIGINT, which skips the wait for proxies.
///
/// # Errors
/// When the listener or a signal handler fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    app: &App,
    followers: Followers,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (draining, notice_time, open_streams) = (app.draining.clone(), app.config.drain, followers.clone());
    let stop = async move {
        let is_urgent = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => true,
        };
        tracing::info!("stopping; not ready for more requests");
        draining.cancel();
        if !is_urgent {
            tokio::time::sleep(notice_time).await;
        }
        tracing::info!("finishing open requests");
        open_streams.close();
    };
    let overdue = async {
        followers.closed().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        served = serve_until(listener, router, stop) => served?,
        () = overdue => tracing::warn!("some requests took too long and are cut off"),
    }
    Ok(())
}
