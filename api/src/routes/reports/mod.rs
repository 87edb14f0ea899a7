//! Reports: figures for administrators and drivers, and what administrators download as JSON.

pub mod downloads;
pub mod driver;
pub mod overview;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().merge(downloads::routes()).merge(overview::routes()).merge(driver::routes())
}
