//! The HTTP API: requests in, the application's answers out. Start reading at `routes/mod.rs`, then `http/stack.rs`.

pub mod http;
pub mod openapi;
pub mod pages;
pub mod routes;
pub mod site;
pub mod state;

pub use axum::Router;
pub use http::server::serve_until;
pub use state::ApiState;

/// The whole API, ready to serve. Pass an `App`, or an [`ApiState`] to keep hold of its followers.
pub fn router(state: impl Into<ApiState>) -> Router {
    let state = state.into();
    let app = state.app.clone();
    let pages = pages::routes(&app).with_state(state.clone());
    pages::with_errors(http::stack::wrap(routes::all(state).merge(pages), &app), &app)
}
