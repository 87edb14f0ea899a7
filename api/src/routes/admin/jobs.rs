//! Background jobs: the overview, and requeueing, cancelling and purging jobs.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    app::App,
    base::time::wire,
    jobs::control::{self, Dead, DeadJob, JobDetails, QueueRow, RunningJob, ScheduleRow},
    operations::schedules,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        answers::Message,
        auth::Admin,
        body::OptionalJson,
        paging::{Linked, PageQuery, Paging},
        params::Path,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(read_job, purge_job))
        .routes(routes!(requeue_job))
        .routes(routes!(cancel_job))
        .routes(routes!(requeue_jobs))
        .routes(routes!(purge_jobs))
}

/// Schedules, queues and jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobsOverview {
    msg: &'static str,
    schedules: Vec<ScheduleView>,
    queues: Vec<QueueView>,
    /// Longest running first.
    running: Vec<RunningView>,
    /// Newest first, in pages.
    dead: Vec<DeadView>,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    #[schema(example = "daily-reminders")]
    name: &'static str,
    /// A cron expression and its time zone.
    timetable: String,
    paused: bool,
    /// Null while the schedule is paused.
    #[serde(with = "wire::option")]
    next_run: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    last_run: Option<DateTime<Utc>>,
    last_job_id: Option<Uuid>,
    /// The state of the last job.
    last_state: Option<String>,
}

impl From<ScheduleRow> for ScheduleView {
    fn from(row: ScheduleRow) -> Self {
        Self {
            name: row.name,
            timetable: row.timetable,
            paused: row.paused_at.is_some(),
            next_run: row.next_run,
            last_run: row.last_run,
            last_job_id: row.last_job_id,
            last_state: row.last_state.map(|state| state.to_string()),
        }
    }
}

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueView {
    #[schema(example = "mail")]
    name: &'static str,
    paused: bool,
    /// Jobs that are waiting, including those for later.
    waiting: i64,
    /// Waiting jobs that are due.
    due: i64,
    /// For how long the oldest job has been due.
    oldest_seconds: Option<i64>,
    #[schema(example = 1)]
    running: i64,
}

impl From<QueueRow> for QueueView {
    fn from(row: QueueRow) -> Self {
        Self {
            name: row.name,
            paused: row.paused_at.is_some(),
            waiting: row.waiting,
            due: row.due,
            oldest_seconds: row.oldest_seconds,
            running: row.running,
        }
    }
}

/// A running job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunningView {
    job_id: Uuid,
    kind: String,
    queue: String,
    worker: Option<String>,
    user_id: Option<i64>,
    attempt: i64,
    max_attempts: i64,
    #[schema(example = 2048)]
    current: i64,
    #[schema(example = 4096)]
    total: i64,
    #[serde(with = "wire::option")]
    started_at: Option<DateTime<Utc>>,
}

impl From<RunningJob> for RunningView {
    fn from(job: RunningJob) -> Self {
        Self {
            job_id: job.id,
            kind: job.kind,
            queue: job.queue,
            worker: job.worker,
            user_id: job.owner_id,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            current: job.progress_current,
            total: job.progress_total,
            started_at: job.started_at,
        }
    }
}

/// A dead job: it failed for good.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadView {
    job_id: Uuid,
    kind: String,
    queue: String,
    user_id: Option<i64>,
    attempt: i64,
    error: Option<String>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire::option")]
    finished_at: Option<DateTime<Utc>>,
}

impl From<DeadJob> for DeadView {
    fn from(job: DeadJob) -> Self {
        Self {
            job_id: job.id,
            kind: job.kind,
            queue: job.queue,
            user_id: job.owner_id,
            attempt: job.attempt,
            error: job.error,
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneJob {
    msg: &'static str,
    /// Every field of the job.
    #[schema(value_type = Object)]
    job: JobDetails,
}

/// Which dead jobs to change.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct DeadJobFilter {
    /// Only jobs of this kind; by default all.
    #[schema(max_length = 80, pattern = r"^[^\x00]*$")]
    kind: Option<String>,
}

impl DeadJobFilter {
    fn checked(self) -> Result<Dead> {
        let is_kind = |kind: &String| kind.len() <= 80 && !kind.contains('\0');
        if !self.kind.as_ref().is_none_or(is_kind) {
            return Err(Error::invalid("/kind", "must be a kind of job such as send-receipt"));
        }
        Ok(Dead::All(self.kind))
    }
}

/// The number of changed jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedJobs {
    msg: &'static str,
    jobs: u64,
}

/// List schedules, queues, running jobs and dead jobs.
#[utoipa::path(get, path = "/admin/jobs", tag = "jobs", params(PageQuery<Uuid>), responses(
    (status = 200, description = "The overview; dead jobs in pages", body = JobsOverview),
))]
pub(crate) async fn list_jobs(
    State(app): State<App>,
    _: Admin,
    paging: Paging<Uuid>,
) -> Answer<Linked<JobsOverview>> {
    let schedules = control::list_schedules(&app, &schedules::all(&app.config)?).await?;
    let dead = control::list_dead(&app, &paging.page).await?;
    let overview = JobsOverview {
        msg: "jobs",
        schedules: schedules.into_iter().map(Into::into).collect(),
        queues: control::list_queues(&app).await?.into_iter().map(Into::into).collect(),
        running: control::list_running(&app).await?.into_iter().map(Into::into).collect(),
        dead: dead.items.iter().cloned().map(Into::into).collect(),
    };
    Ok(paging.answer(dead.next(|job| job.id), overview))
}

/// Read one job with its payload.
#[utoipa::path(get, path = "/admin/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Job id")), responses(
    (status = 200, description = "The job", body = OneJob),
    (status = 404, description = "No such job"),
))]
pub(crate) async fn read_job(State(app): State<App>, _: Admin, Path(id): Path<Uuid>) -> Answer<Json<OneJob>> {
    Ok(Json(OneJob { msg: "job", job: control::find_details(&app, id).await? }))
}

/// Purge a dead job: delete it for good.
#[utoipa::path(delete, path = "/admin/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "Job id")), responses(
    (status = 200, description = "The job is deleted", body = Message),
    (status = 404, description = "No such job"),
    (status = 409, description = "The job is not dead"),
))]
pub(crate) async fn purge_job(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::purge(&app, &(&admin).into(), &Dead::One(id)).await?;
    Ok(Json(Message { msg: "job purged" }))
}

/// Requeue a dead job.
#[utoipa::path(post, path = "/admin/jobs/{id}/requeue", tag = "jobs", params(("id" = Uuid, Path, description = "Job id")), responses(
    (status = 200, description = "The job is waiting, with all its attempts left", body = Message),
    (status = 404, description = "No such job"),
    (status = 409, description = "The job is not dead, or another job with the same unique key is waiting or running"),
))]
pub(crate) async fn requeue_job(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::requeue(&app, &(&admin).into(), &Dead::One(id)).await?;
    Ok(Json(Message { msg: "job requeued" }))
}

/// Cancel a waiting or running job.
#[utoipa::path(post, path = "/admin/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path, description = "Job id")), responses(
    (status = 200, description = "The job is cancelled, or will be in a moment", body = Message),
    (status = 404, description = "No such job"),
    (status = 409, description = "The job has already ended"),
))]
pub(crate) async fn cancel_job(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::cancel_as_operator(&app, &(&admin).into(), id).await?;
    Ok(Json(Message { msg: "job cancelled" }))
}

/// Requeue all dead jobs.
#[utoipa::path(post, path = "/admin/jobs/requeue", tag = "jobs", request_body = Option<DeadJobFilter>, responses(
    (status = 200, description = "The jobs are waiting; of several with the same unique key only the newest is requeued", body = ChangedJobs),
    (status = 400, description = "The kind is invalid"),
))]
pub(crate) async fn requeue_jobs(
    State(app): State<App>,
    Admin(admin): Admin,
    OptionalJson(filter): OptionalJson<DeadJobFilter>,
) -> Answer<Json<ChangedJobs>> {
    let jobs = control::requeue(&app, &(&admin).into(), &filter.checked()?).await?;
    Ok(Json(ChangedJobs { msg: "jobs requeued", jobs }))
}

/// Purge all dead jobs: delete them for good.
#[utoipa::path(post, path = "/admin/jobs/purge", tag = "jobs", request_body = Option<DeadJobFilter>, responses(
    (status = 200, description = "The jobs are deleted", body = ChangedJobs),
    (status = 400, description = "The kind is invalid"),
))]
pub(crate) async fn purge_jobs(
    State(app): State<App>,
    Admin(admin): Admin,
    OptionalJson(filter): OptionalJson<DeadJobFilter>,
) -> Answer<Json<ChangedJobs>> {
    let jobs = control::purge(&app, &(&admin).into(), &filter.checked()?).await?;
    Ok(Json(ChangedJobs { msg: "jobs purged", jobs }))
}
