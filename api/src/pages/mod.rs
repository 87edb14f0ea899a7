//! Pages for people: rendered on the server from `templates/pages/`, with the session in a cookie. Handlers call the same functions
//! of `shared` as the JSON routes do, and decide nothing. `http/policy.rs` lists them.

mod account;
mod admin;
mod chart;
mod csrf;
mod exports;
mod failure;
mod figures;
mod form;
mod history;
mod landing;
mod lots;
mod parking;
mod profile;
mod qr;
mod second_factor;
mod views;
mod visitor;
mod work;

use axum::{Router, middleware, routing::get};
use shared::app::App;
use tower::ServiceBuilder;

use crate::{site::assets, state::ApiState};

/// All pages, and the files that they load.
pub(crate) fn routes(app: &App) -> Router<ApiState> {
    Router::new()
        .merge(landing::routes())
        .merge(account::routes())
        .merge(lots::routes())
        .merge(parking::routes())
        .merge(history::routes())
        .merge(figures::routes())
        .merge(exports::routes())
        .merge(profile::routes())
        .merge(second_factor::routes())
        .merge(work::routes())
        .merge(admin::routes())
        .route_layer(middleware::from_fn_with_state(app.clone(), visitor::enter))
        .route("/ui/static/{file}", get(assets::serve))
}

/// Gives the errors of pages their own page, also those of the layers around all routes.
pub(crate) fn with_errors(all: Router, app: &App) -> Router {
    let errors = middleware::from_fn_with_state(app.clone(), failure::complete);
    Router::new().fallback_service(ServiceBuilder::new().layer(errors).service(all))
}
