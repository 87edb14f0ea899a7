//! The HTTP front door: requests in, the application's answers out. Start reading at `routes.rs`.

pub mod accounts;
pub mod auth;
pub mod bookings;
pub mod exports;
pub mod extract;
pub mod health;
pub mod lots;
pub mod middleware;
pub mod problem;
pub mod routes;
pub mod tasks;

use axum::Router;
use shared::app::App;

/// Everything that the API answers.
pub fn router(app: App) -> Router {
    let routes = routes::all(&app);
    middleware::wrap(routes, &app)
}
