//! The HTTP front door: requests in, the application's answers out. Start reading at `routes.rs`.

pub mod accounts;
pub mod activity;
pub mod admin;
pub(crate) mod admit;
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
mod serve;
pub mod spots;
pub mod tasks;
pub mod unsubscribe;
pub mod upkeep;
pub mod user_reports;
pub mod users;

pub use axum::Router;
pub use serve::serve_until;
use shared::app::App;

/// Everything that the API answers.
pub fn router(app: App) -> Router {
    let routes = routes::all(&app);
    middleware::wrap(routes, &app)
}
