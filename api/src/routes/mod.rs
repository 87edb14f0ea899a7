//! The table of contents: every resource, mounted under `/api` and, for older clients, at the root.

pub mod accounts;
pub mod activity;
pub mod admin;
pub mod bookings;
pub mod events;
pub mod export_json;
pub mod exports;
pub mod health;
pub mod lots;
pub mod privacy;
pub mod reports;
pub mod reservations;
pub(crate) mod schemas;
pub mod spots;
pub mod tasks;
pub mod unsubscribe;
pub mod user_reports;
pub mod users;

use axum::{
    Router,
    http::{HeaderValue, header},
};
use shared::app::App;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::openapi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Parkade",
        description = "Parking management: lots, bookings, exports.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    tags(
        (name = "accounts", description = "Registering, logging in, one's sessions, activity and privacy"),
        (name = "users", description = "Accounts, for administrators and for each user"),
        (name = "lots", description = "Parking lots"),
        (name = "spots", description = "The spots of lots, for attendants"),
        (name = "bookings", description = "Reserving, arriving, leaving and paying"),
        (name = "exports", description = "Reservations as CSV files, made in the background"),
        (name = "tasks", description = "Work in the background"),
        (name = "jobs", description = "Schedules, queues and jobs, for operators"),
        (name = "reports", description = "Figures for administrators and drivers"),
        (name = "admin", description = "The state of the installation"),
        (name = "health", description = "Whether the service is there"),
    ),
    components(schemas(crate::http::problem::ProblemBody))
)]
struct Document;

fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(users::routes())
        .merge(lots::routes())
        .merge(spots::routes())
        .merge(bookings::routes())
        .merge(reservations::routes())
        .merge(activity::routes())
        .merge(unsubscribe::routes())
        .merge(privacy::routes())
        .merge(exports::routes())
        .merge(export_json::routes())
        .merge(reports::routes())
        .merge(user_reports::routes())
        .merge(tasks::routes())
        .merge(events::routes())
        .merge(admin::routes())
        .merge(health::routes())
}

const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The routes, at both places.
pub(crate) fn all(app: &App) -> Router {
    let (under_api, _) = OpenApiRouter::new().nest("/api", resources()).split_for_parts();
    let (at_root, _) = resources().split_for_parts();
    let pages = SwaggerUi::new("/docs").url("/openapi.json", document());
    // The only page with scripts: its own.
    let policy = SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, PAGES);
    let pages = Router::new().merge(pages).route_layer(policy);
    under_api.merge(at_root).merge(health::root()).merge(pages).with_state(app.clone())
}

/// The OpenAPI document, which names the routes under `/api`.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let written =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api", resources()).split_for_parts().1;
    openapi::complete(written)
}
