//! Routes for administrators and operators.

pub mod audit;
pub mod database;
pub mod deliveries;
pub mod integrity;
pub mod jobs;
pub mod queues;
pub mod redis;
pub mod schedules;
pub mod tariffs;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(jobs::routes())
        .merge(schedules::routes())
        .merge(queues::routes())
        .merge(integrity::routes())
        .merge(redis::routes())
        .merge(audit::routes())
        .merge(database::routes())
        .merge(deliveries::routes())
        .merge(tariffs::routes())
}
