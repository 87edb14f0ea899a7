//! Pausing and resuming queues.

use axum::{Json, extract::State};
use shared::{
    Error, Result,
    app::App,
    jobs::{Queue, control},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{answers::Message, auth::Admin, params::Path, problem::Answer},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(pause_queue)).routes(routes!(resume_queue))
}

fn find(name: &str) -> Result<Queue> {
    Queue::named(name).ok_or(Error::NotFound("queue"))
}

/// Pause a queue: workers take no more jobs from it.
#[utoipa::path(post, path = "/admin/queues/{name}/pause", tag = "jobs",
    params(("name" = String, Path, description = "Queue name", example = "mail")), responses(
    (status = 200, description = "The queue is paused; running jobs are finished", body = Message),
    (status = 404, description = "No such queue"),
))]
pub(crate) async fn pause_queue(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::pause_queue(&app, &(&admin).into(), find(&name)?).await?;
    Ok(Json(Message { msg: "queue paused" }))
}

/// Resume a queue.
#[utoipa::path(post, path = "/admin/queues/{name}/resume", tag = "jobs",
    params(("name" = String, Path, description = "Queue name", example = "mail")), responses(
    (status = 200, description = "Workers take waiting jobs again", body = Message),
    (status = 404, description = "No such queue"),
))]
pub(crate) async fn resume_queue(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::resume_queue(&app, &(&admin).into(), find(&name)?).await?;
    Ok(Json(Message { msg: "queue resumed" }))
}
