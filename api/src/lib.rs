//! The HTTP front door: requests in, the application's answers out. Start reading at `routes.rs`.

pub mod accounts;
pub mod activity;
pub mod admin;
pub mod auth;
pub mod bookings;
pub(crate) mod cached;
pub mod deliveries;
pub mod events;
pub mod export_json;
pub mod exports;
pub mod extract;
pub mod health;
pub mod jobs;
pub(crate) mod limits;
pub mod lots;
pub mod metrics;
pub mod middleware;
pub(crate) mod once;
pub mod openapi;
pub(crate) mod page;
pub mod privacy;
pub mod problem;
pub mod reports;
pub mod reservations;
pub mod routes;
pub mod schedules;
pub(crate) mod schemas;
pub mod spots;
pub mod tasks;
pub mod unsubscribe;
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

/// A client that takes nothing of what it is sent for so long is cut off.
#[cfg(target_os = "linux")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

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
        let set = connection.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let set =
            set.and_then(|()| socket2::SockRef::from(&*connection).set_tcp_user_timeout(Some(PATIENCE)));
        if let Err(error) = set {
            tracing::debug!(%error, "an option of a connection was refused");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}
