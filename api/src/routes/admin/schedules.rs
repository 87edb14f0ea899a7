//! Running, pausing and resuming schedules.

use axum::{Json, extract::State, response::Response};
use serde::de::IgnoredAny;
use shared::{app::App, base::identity::Identity, jobs::control, operations::schedules};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        answers::{Accepted, Message, accepted},
        auth::Admin,
        body::OptionalJson,
        idempotency::{IdempotencyKey, Once},
        params::Path,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(run_schedule))
        .routes(routes!(pause_schedule))
        .routes(routes!(resume_schedule))
}

/// Run a schedule now.
///
/// If its job is already waiting or running, no other is started.
#[utoipa::path(post, path = "/admin/schedules/{name}/run", tag = "jobs",
    params(("name" = String, Path, description = "Schedule name", example = "file-cleanup"), IdempotencyKey), responses(
    (status = 202, description = "The task is accepted; `Location` says where to poll it", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 404, description = "No such schedule"),
))]
pub(crate) async fn run_schedule(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(name): Path<String>,
    once: Once<OptionalJson<IgnoredAny>>,
) -> Answer<Response> {
    run(&app, &admin, &name, once).await
}

/// Handles `/admin/schedules/{name}/run` and the tasks that run a schedule.
pub(crate) async fn run<E>(app: &App, admin: &Identity, name: &str, once: Once<E>) -> Answer<Response> {
    let schedule = schedules::named(&app.config, name)?;
    let answer = |id: &Uuid| accepted(*id, "the schedule runs now");
    once.answer(app, admin.user_id, answer, async |_, keep| {
        control::run_now(app, &admin.into(), &schedule, keep).await
    })
    .await
}

/// Pause a schedule.
#[utoipa::path(post, path = "/admin/schedules/{name}/pause", tag = "jobs",
    params(("name" = String, Path, description = "Schedule name", example = "file-cleanup")), responses(
    (status = 200, description = "The schedule is paused", body = Message),
    (status = 404, description = "No such schedule"),
))]
pub(crate) async fn pause_schedule(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::pause_schedule(&app, &(&admin).into(), &schedules::named(&app.config, &name)?).await?;
    Ok(Json(Message { msg: "schedule paused" }))
}

/// Resume a schedule, from its next run time on.
#[utoipa::path(post, path = "/admin/schedules/{name}/resume", tag = "jobs",
    params(("name" = String, Path, description = "Schedule name", example = "file-cleanup")), responses(
    (status = 200, description = "The schedule is active; missed runs are not caught up", body = Message),
    (status = 404, description = "No such schedule"),
))]
pub(crate) async fn resume_schedule(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::resume_schedule(&app, &(&admin).into(), &schedules::named(&app.config, &name)?).await?;
    Ok(Json(Message { msg: "schedule resumed" }))
}
