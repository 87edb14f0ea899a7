//! Tasks: background jobs, by the names and states that the old client knows.

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
        answers::Accepted,
        auth::CurrentUser,
        body::OptionalJson,
        idempotency::{IdempotencyKey, Once},
        params::{Path, Query},
        problem::{Answer, Problem},
    },
    routes::{
        admin::schedules,
        exports::{self, RequestExport},
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_task, start_task))
}

/// The tasks that can be started by name.
const NAMES: [&str; 3] = ["export-csv", "test-daily-reminder", "test-monthly-report"];

/// The id of the task, if the path has its name.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskQuery {
    task_id: Option<String>,
}

/// The status of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskView {
    msg: &'static str,
    task_id: Uuid,
    /// `PENDING`, `PROGRESS`, `SUCCESS`, `FAILURE` or `CANCELLED`.
    state: &'static str,
    /// The state, for people.
    #[schema(example = "the task is running")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    /// An object. Of reminders and monthly reports, a text if the path has the name of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn unknown_task() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unknown_task", format!("the tasks are: {}", NAMES.join(", ")))
}

/// Start a task.
///
/// `export-csv` is the same as a request for an export. Administrators may also start `test-daily-reminder` and
/// `test-monthly-report`, which run these schedules now.
#[utoipa::path(post, path = "/tasks/{task}", tag = "tasks", request_body = Option<RequestExport>,
    params(("task" = String, Path, description = "The name of the task", pattern = "^(export-csv|test-daily-reminder|test-monthly-report)$"), IdempotencyKey), responses(
    (status = 202, description = "The task is accepted; `Location` says where to poll it", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 400, description = "No such task, or a field is invalid"),
    (status = 403, description = "Only administrators may export everybody's reservations or run schedules"),
))]
pub(crate) async fn start_task(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(task): Path<String>,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    match task.as_str() {
        "export-csv" => exports::request(&app, &user, once).await,
        "test-daily-reminder" => run(&app, &user, DAILY_REMINDERS, once).await,
        "test-monthly-report" => run(&app, &user, MONTHLY_REPORTS, once).await,
        _ => Err(unknown_task()),
    }
}

async fn run<E>(app: &App, user: &Identity, schedule: &str, once: Once<E>) -> Answer<Response> {
    if !user.is_admin {
        return Err(Error::Forbidden("only an administrator may do this").into());
    }
    schedules::run(app, user, schedule, once).await
}

/// Read the status of a task: `/tasks/{id}` or `/tasks/{name}?task_id={id}`.
#[utoipa::path(get, path = "/tasks/{task}", tag = "tasks",
    params(("task" = String, Path, description = "The id of the task, or its name",
            pattern = "^(export-csv|test-daily-reminder|test-monthly-report|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"),
           ("task_id" = Option<Uuid>, Query, description = "The id of the task, if the path has its name")), responses(
    (status = 200, description = "The task. Until it has ended, `Retry-After` says when to poll again", body = TaskView,
     headers(("Retry-After"))),
    (status = 400, description = "No such task name, or the id is missing"),
    (status = 404, description = "You have no such task"),
))]
pub(crate) async fn read_task(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(task): Path<String>,
    Query(query): Query<TaskQuery>,
) -> Answer<Response> {
    let in_path = task.parse::<Uuid>().ok();
    if in_path.is_none() && !NAMES.contains(&task.as_str()) {
        return Err(unknown_task());
    }
    let in_query = query.task_id.map(|id| id.parse().map_err(|_| Error::NotFound("task"))).transpose()?;
    let id = in_path.or(in_query).ok_or_else(|| Error::invalid("task_id", "is missing"))?;
    let status = find(&app, &user, id).await?;
    let is_final = status.state.is_final();
    let mut view = TaskView::new(id, status);
    if in_path.is_none() {
        view.result = view.result.map(for_old_clients);
    }
    let mut answer = Json(view).into_response();
    if !is_final {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(answer)
}

/// The result of a mailing as text, as clients of the replaced system expect it at the address with the name of the task.
fn for_old_clients(result: Value) -> Value {
    let mails = result["asked"].as_i64();
    mails.map_or(result, |mails| format!("{mails} mails requested").into())
}

/// The status of a task that this user may see.
pub(crate) async fn find(app: &App, user: &Identity, id: Uuid) -> Result<Status, Error> {
    status::find(app, id)
        .await?
        .filter(|status| user.is_admin || status.owner_id == Some(user.user_id))
        .ok_or(Error::NotFound("task"))
}

impl TaskView {
    pub(crate) fn new(task_id: Uuid, status: Status) -> Self {
        let running = status.state == JobState::Running;
        Self {
            msg: "task",
            task_id,
            state: status.state.client_word(),
            status: describe(status.state),
            current: running.then_some(status.current),
            total: running.then_some(status.total),
            result: (status.state == JobState::Succeeded).then_some(status.result),
            error: status.error,
        }
    }
}

const fn describe(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "the task is waiting for a worker",
        JobState::Running => "the task is running",
        JobState::Succeeded => "the task is done",
        JobState::Failed => "the task failed",
        JobState::Cancelled => "the task was cancelled",
    }
}
