//! Tasks: background work by the names and states that older clients know.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    Error,
    app::App,
    base::identity::Identity,
    jobs::{
        JobState,
        status::{self, Status},
    },
    operations::schedules::{DAILY_REMINDERS, MONTHLY_REPORTS},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::CurrentUser,
        extract::{OptionalJson, Path, Query},
        idempotency::{IdempotencyKey, Once},
        problem::{Answer, Problem},
    },
    routes::{
        admin::schedules,
        exports::{self, Accepted, RequestExport},
    },
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read_task, start_task))
}

/// The kinds of tasks that can be started by name.
const TYPES: [&str; 3] = ["export-csv", "test-daily-reminder", "test-monthly-report"];

/// Which task, where the path names its type.
#[derive(Debug, Deserialize)]
pub(crate) struct WhichTask {
    task_id: Option<String>,
}

/// Where a task stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskView {
    msg: &'static str,
    task_id: Uuid,
    /// `PENDING`, `PROGRESS`, `SUCCESS`, `FAILURE` or `CANCELLED`.
    state: &'static str,
    /// The state in words.
    #[schema(example = "the task is running")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn unknown_type() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unknown_task", format!("the tasks are: {}", TYPES.join(", ")))
}

/// Start a task: `export-csv`, the same as a request for an export; or, for administrators, `test-daily-reminder` and
/// `test-monthly-report`, which run the schedules now.
#[utoipa::path(post, path = "/tasks/{task}", tag = "tasks", security(("bearer" = [])), request_body = Option<RequestExport>,
    params(("task" = String, Path, description = "Its type", pattern = "^(export-csv|test-daily-reminder|test-monthly-report)$"), IdempotencyKey), responses(
    (status = 202, description = "Follow the task", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 400, description = "There is no such type, or a field is wrong"),
    (status = 403, description = "Everybody's reservations and the schedules are for administrators"),
))]
pub(crate) async fn start_task(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(task): Path<String>,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    match task.as_str() {
        "export-csv" => exports::request(&app, &who, once).await,
        "test-daily-reminder" => run(&app, &who, DAILY_REMINDERS, once).await,
        "test-monthly-report" => run(&app, &who, MONTHLY_REPORTS, once).await,
        _ => Err(unknown_type()),
    }
}

async fn run<E>(app: &App, who: &Identity, schedule: &str, once: Once<E>) -> Answer<Response> {
    if !who.is_admin {
        return Err(Error::Forbidden("only an administrator may do this").into());
    }
    schedules::run(app, who, schedule, once).await
}

/// Where a task stands, by `/tasks/{id}` or by `/tasks/{type}?task_id={id}`.
#[utoipa::path(get, path = "/tasks/{task}", tag = "tasks", security(("bearer" = [])),
    params(("task" = String, Path, description = "Its id, or its type",
            pattern = "^(export-csv|test-daily-reminder|test-monthly-report|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"),
           ("task_id" = Option<Uuid>, Query, description = "Its id, where the path names the type")), responses(
    (status = 200, description = "The task. While it has not ended, `Retry-After` says when to ask again", body = TaskView,
     headers(("Retry-After"))),
    (status = 400, description = "There is no such type, or no id"),
    (status = 404, description = "You have no such task"),
))]
pub(crate) async fn read_task(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(task): Path<String>,
    Query(which): Query<WhichTask>,
) -> Answer<Response> {
    let in_path = task.parse::<Uuid>().ok();
    if in_path.is_none() && !TYPES.contains(&task.as_str()) {
        return Err(unknown_type());
    }
    let in_query = which.task_id.map(|id| id.parse().map_err(|_| Error::NotFound("task"))).transpose()?;
    let id = in_path.or(in_query).ok_or_else(|| Error::invalid("task_id", "is missing"))?;
    let status = find(&app, &who, id).await?;
    let is_final = status.state.is_final();
    let mut answer = Json(TaskView::of(id, status)).into_response();
    if !is_final {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(answer)
}

/// Where a task of the caller stands, and for administrators that of anybody.
pub(crate) async fn find(app: &App, who: &Identity, id: Uuid) -> Result<Status, Error> {
    status::find(app, id)
        .await?
        .filter(|status| who.is_admin || status.owner_id == Some(who.user_id))
        .ok_or(Error::NotFound("task"))
}

impl TaskView {
    pub(crate) fn of(task_id: Uuid, status: Status) -> Self {
        let running = status.state == JobState::Running;
        Self {
            msg: "task",
            task_id,
            state: status.state.client_word(),
            status: in_words(status.state),
            current: running.then_some(status.current),
            total: running.then_some(status.total),
            result: (status.state == JobState::Succeeded).then_some(status.result),
            error: status.error,
        }
    }
}

const fn in_words(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "the task waits for a worker",
        JobState::Running => "the task is running",
        JobState::Succeeded => "the task is done",
        JobState::Failed => "the task failed",
        JobState::Cancelled => "the task was cancelled",
    }
}
