//! The table of contents: every resource, mounted under `/api` and, for older clients, at the root.

use axum::Router;
use shared::app::App;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    accounts, activity, admin, bookings, export_json, exports, health, lots, openapi, reports, reservations,
    spots, tasks, upkeep, user_reports, users,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Parkade",
        description = "Parking management: lots, bookings, exports.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    tags(
        (name = "accounts", description = "Registering, logging in, one's sessions and activity"),
        (name = "users", description = "Accounts, for administrators and for each user"),
        (name = "lots", description = "Parking lots"),
        (name = "spots", description = "The spots of lots, for attendants"),
        (name = "bookings", description = "Reserving, arriving, leaving and paying"),
        (name = "exports", description = "Reservations as CSV files, made in the background"),
        (name = "tasks", description = "Work in the background"),
        (name = "reports", description = "Figures for administrators and drivers"),
        (name = "admin", description = "The state of the data"),
        (name = "health", description = "Whether the service is there"),
    ),
    components(schemas(crate::problem::ProblemBody))
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
        .merge(exports::routes())
        .merge(export_json::routes())
        .merge(reports::routes())
        .merge(user_reports::routes())
        .merge(tasks::routes())
        .merge(admin::routes())
        .merge(upkeep::routes())
        .merge(health::routes())
}

/// The routes, at both places.
pub(crate) fn all(app: &App) -> Router {
    let (under_api, _) = OpenApiRouter::new().nest("/api", resources()).split_for_parts();
    let (at_root, _) = resources().split_for_parts();
    let pages = SwaggerUi::new("/docs").url("/openapi.json", document());
    under_api.merge(at_root).merge(health::root()).merge(pages).with_state(app.clone())
}

/// The OpenAPI document, which names the routes under `/api`.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let written =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api", resources()).split_for_parts().1;
    openapi::complete(written)
}
