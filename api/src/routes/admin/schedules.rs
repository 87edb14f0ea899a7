//! Schedules and queues as administrators steer them: run one now, pause, resume.

use axum::{Json, extract::State, response::Response};
use serde::de::IgnoredAny;
use shared::{
    Error,
    app::App,
    base::identity::Identity,
    jobs::{Queue, control},
    operations::schedules,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::Admin,
        extract::{OptionalJson, Path},
        idempotency::{IdempotencyKey, Once},
        problem::Answer,
    },
    routes::{
        accounts::Message,
        exports::{Accepted, accepted},
    },
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(run_schedule))
        .routes(routes!(pause_schedule))
        .routes(routes!(resume_schedule))
        .routes(routes!(pause_queue))
        .routes(routes!(resume_queue))
}

/// Run a schedule now. If its job waits or runs already, that is the one.
#[utoipa::path(post, path = "/admin/schedules/{name}/run", tag = "jobs", security(("bearer" = ["admin"])),
    params(("name" = String, Path, description = "The schedule", example = "file-cleanup"), IdempotencyKey), responses(
    (status = 202, description = "Follow the task", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 404, description = "There is no such schedule"),
))]
pub(crate) async fn run_schedule(
    State(app): State<App>,
    Admin(who): Admin,
    Path(name): Path<String>,
    once: Once<OptionalJson<IgnoredAny>>,
) -> Answer<Response> {
    run(&app, &who, &name, once).await
}

/// What `/admin/schedules/{name}/run` and the tasks by name do.
pub(crate) async fn run<E>(app: &App, who: &Identity, name: &str, once: Once<E>) -> Answer<Response> {
    let schedule = schedules::named(&app.config, name)?;
    let answer = |id: &Uuid| accepted(*id, "the schedule runs now");
    once.answer(app, who.user_id, answer, async |_, keep| {
        control::run_now(app, Some(who.user_id), &schedule, keep).await
    })
    .await
}

/// Let the ticks of a schedule pass.
#[utoipa::path(post, path = "/admin/schedules/{name}/pause", tag = "jobs", security(("bearer" = ["admin"])),
    params(("name" = String, Path, description = "The schedule", example = "file-cleanup")), responses(
    (status = 200, description = "It is paused", body = Message),
    (status = 404, description = "There is no such schedule"),
))]
pub(crate) async fn pause_schedule(
    State(app): State<App>,
    Admin(who): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::pause_schedule(&app, Some(who.user_id), &schedules::named(&app.config, &name)?).await?;
    Ok(Json(Message { msg: "schedule paused" }))
}

/// Let a schedule run again, from its next tick on.
#[utoipa::path(post, path = "/admin/schedules/{name}/resume", tag = "jobs", security(("bearer" = ["admin"])),
    params(("name" = String, Path, description = "The schedule", example = "file-cleanup")), responses(
    (status = 200, description = "It runs again; ticks that passed are not made up for", body = Message),
    (status = 404, description = "There is no such schedule"),
))]
pub(crate) async fn resume_schedule(
    State(app): State<App>,
    Admin(who): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::resume_schedule(&app, Some(who.user_id), &schedules::named(&app.config, &name)?).await?;
    Ok(Json(Message { msg: "schedule resumed" }))
}

fn queue(name: &str) -> Answer<Queue> {
    Ok(Queue::named(name).ok_or(Error::NotFound("queue"))?)
}

/// Let no worker take jobs from a queue.
#[utoipa::path(post, path = "/admin/queues/{name}/pause", tag = "jobs", security(("bearer" = ["admin"])),
    params(("name" = String, Path, description = "The queue", example = "mail")), responses(
    (status = 200, description = "It is paused; running jobs end as they would", body = Message),
    (status = 404, description = "There is no such queue"),
))]
pub(crate) async fn pause_queue(
    State(app): State<App>,
    Admin(who): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::pause_queue(&app, Some(who.user_id), queue(&name)?).await?;
    Ok(Json(Message { msg: "queue paused" }))
}

/// Let workers take jobs from a queue again.
#[utoipa::path(post, path = "/admin/queues/{name}/resume", tag = "jobs", security(("bearer" = ["admin"])),
    params(("name" = String, Path, description = "The queue", example = "mail")), responses(
    (status = 200, description = "What waited is run", body = Message),
    (status = 404, description = "There is no such queue"),
))]
pub(crate) async fn resume_queue(
    State(app): State<App>,
    Admin(who): Admin,
    Path(name): Path<String>,
) -> Answer<Json<Message>> {
    control::resume_queue(&app, Some(who.user_id), queue(&name)?).await?;
    Ok(Json(Message { msg: "queue resumed" }))
}
