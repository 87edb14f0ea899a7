//! The HTTP front door: requests in, the application's answers out. Start reading at `routes.rs`.

pub mod accounts;
pub mod activity;
pub mod admin;
pub mod auth;
pub mod bookings;
pub(crate) mod cached;
pub mod export_json;
pub mod exports;
pub mod extract;
pub mod health;
pub(crate) mod limits;
pub mod lots;
pub mod middleware;
pub(crate) mod once;
pub mod openapi;
pub(crate) mod page;
pub mod problem;
pub mod reports;
pub mod reservations;
pub mod routes;
pub(crate) mod schemas;
pub mod spots;
pub mod tasks;
pub mod upkeep;
pub mod user_reports;
pub mod users;

use std::net::SocketAddr;

pub use axum::Router;
use axum::serve::ListenerExt;
use shared::app::App;
use tokio::net::TcpListener;

/// Everything that the API answers.
pub fn router(app: App) -> Router {
    let routes = routes::all(&app);
    middleware::wrap(routes, &app)
}

/// Answers requests until `stop` is done, then finishes those that are open.
///
/// # Errors
/// Those of the listener.
pub async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}
