//! Routes for administrators and operators.

pub mod database;
pub mod deliveries;
pub mod jobs;
pub mod schedules;
pub mod upkeep;

use shared::app::App;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(jobs::routes())
        .merge(schedules::routes())
        .merge(database::routes())
        .merge(upkeep::routes())
        .merge(deliveries::routes())
}
