//! The table of contents: every resource, and the OpenAPI document.

pub mod accounts;
pub mod activity;
pub mod admin;
pub mod attendants;
pub mod availability;
pub mod bills;
pub mod bookings;
pub mod export_file;
pub mod exports;
pub mod health;
pub mod lots;
mod pages;
pub mod passwords;
pub mod payments;
pub mod phones;
pub mod privacy;
pub mod reports;
mod reservation_views;
pub mod reservations;
pub mod second_factor;
pub mod spots;
pub mod task_events;
pub mod tasks;
pub mod unsubscribe;
pub mod users;
pub mod vehicles;
pub mod verification;

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{openapi, state::ApiState};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Parkade",
        description = "Parking management: lots, bookings, exports. Amounts are decimals in the main currency unit (65.00).",
        contact(name = "The Parkade developers"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    tags(
        (name = "accounts", description = "Registration, login, sessions, activity and privacy"),
        (name = "users", description = "User accounts"),
        (name = "lots", description = "Parking lots"),
        (name = "spots", description = "Parking spots, for administrators"),
        (name = "attendants", description = "Working at the barrier of a lot"),
        (name = "bookings", description = "Reserving, occupying, releasing and paying"),
        (name = "exports", description = "Reservations as CSV or XLSX files, created in the background"),
        (name = "tasks", description = "Background tasks"),
        (name = "jobs", description = "Schedules, queues and jobs, for administrators"),
        (name = "reports", description = "Figures for administrators and drivers"),
        (name = "admin", description = "The state of the installation"),
        (name = "health", description = "Health checks"),
    ),
    components(schemas(crate::http::problem::ProblemBody))
)]
struct Document;

fn resources() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(passwords::routes())
        .merge(verification::routes())
        .merge(second_factor::routes())
        .merge(users::routes())
        .merge(vehicles::routes())
        .merge(lots::routes())
        .merge(availability::routes())
        .merge(spots::routes())
        .merge(bookings::routes())
        .merge(reservations::routes())
        .merge(bills::routes())
        .merge(payments::routes())
        .merge(attendants::routes())
        .merge(phones::routes())
        .merge(activity::routes())
        .merge(unsubscribe::routes())
        .merge(privacy::routes())
        .merge(exports::routes())
        .merge(export_file::routes())
        .merge(reports::routes())
        .merge(tasks::routes())
        .merge(task_events::routes())
        .merge(admin::routes())
        .merge(health::routes())
}

/// Every route, without `/api`, and the pages at the root.
pub(crate) fn all(state: ApiState) -> Router {
    let (resources, _) = resources().split_for_parts();
    resources.with_state(state).merge(pages::routes(document()))
}

/// The OpenAPI document, with the paths under `/api`.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api", resources()).split_for_parts();
    openapi::complete(document)
}
