//! The HTTP front door: requests in, the application's answers out. Start reading at `routes.rs`.

pub mod http;
pub mod openapi;
pub mod routes;

pub use axum::Router;
pub use http::server::serve_until;
use shared::app::App;

/// Everything that the API answers.
pub fn router(app: App) -> Router {
    let routes = routes::all(&app);
    http::stack::wrap(routes, &app)
}
