//! Jobs as administrators see and steer them: schedules, queues, what runs, what was given up.

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
        auth::Admin,
        extract::{OptionalJson, Path},
        paging::{Linked, PageQuery, Paging},
        problem::Answer,
    },
    routes::accounts::Message,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(read_job, purge_job))
        .routes(routes!(requeue_job))
        .routes(routes!(cancel_job))
        .routes(routes!(requeue_jobs))
        .routes(routes!(purge_jobs))
}

/// Everything at one glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Board {
    msg: &'static str,
    schedules: Vec<ScheduleView>,
    queues: Vec<QueueView>,
    /// The longest at it first.
    running: Vec<RunningView>,
    /// The newest first, in parts.
    dead: Vec<DeadView>,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    #[schema(example = "daily-reminders")]
    name: &'static str,
    /// A cron expression and the zone in which it is read.
    timetable: String,
    paused: bool,
    /// None while it is paused.
    #[serde(with = "wire::option")]
    next_run: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    last_run: Option<DateTime<Utc>>,
    last_job_id: Option<Uuid>,
    /// The state of that job.
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
    /// Jobs that wait, those for later included.
    waiting: i64,
    /// Those of them whose time has come.
    due: i64,
    /// For how long the oldest of these has been due.
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

/// A job that a worker is at.
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

/// A job that was given up.
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
    /// All that the ledger knows of it.
    #[schema(value_type = Object)]
    job: JobDetails,
}

/// Which dead jobs.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct WhichDead {
    /// Those of this kind; all without.
    #[schema(max_length = 80, pattern = r"^[^\x00]*$")]
    kind: Option<String>,
}

impl WhichDead {
    fn checked(self) -> Result<Dead> {
        let is_kind = |kind: &String| kind.len() <= 80 && !kind.contains('\0');
        if !self.kind.as_ref().is_none_or(is_kind) {
            return Err(Error::invalid("/kind", "must be a kind of job such as send-receipt"));
        }
        Ok(Dead::All(self.kind))
    }
}

/// How many jobs it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    msg: &'static str,
    jobs: u64,
}

/// Schedules, queues, running jobs, and the dead ones.
#[utoipa::path(get, path = "/admin/jobs", tag = "jobs", security(("bearer" = ["admin"])), params(PageQuery<Uuid>), responses(
    (status = 200, description = "All of it; the dead jobs in parts", body = Board),
))]
pub(crate) async fn list_jobs(
    State(app): State<App>,
    _: Admin,
    paging: Paging<Uuid>,
) -> Answer<Linked<Board>> {
    let schedules = control::list_schedules(&app, &schedules::all(&app.config)?).await?;
    let dead = control::list_dead(&app, &paging.page).await?;
    let board = Board {
        msg: "jobs",
        schedules: schedules.into_iter().map(Into::into).collect(),
        queues: control::list_queues(&app).await?.into_iter().map(Into::into).collect(),
        running: control::list_running(&app).await?.into_iter().map(Into::into).collect(),
        dead: dead.items.iter().cloned().map(Into::into).collect(),
    };
    Ok(paging.answer(dead.next(|job| job.id), board))
}

/// One job, with its payload.
#[utoipa::path(get, path = "/admin/jobs/{id}", tag = "jobs", security(("bearer" = ["admin"])), params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 200, description = "The job", body = OneJob),
    (status = 404, description = "There is no such job"),
))]
pub(crate) async fn read_job(State(app): State<App>, _: Admin, Path(id): Path<Uuid>) -> Answer<Json<OneJob>> {
    Ok(Json(OneJob { msg: "job", job: control::find_details(&app, id).await? }))
}

/// Remove a dead job for good.
#[utoipa::path(delete, path = "/admin/jobs/{id}", tag = "jobs", security(("bearer" = ["admin"])), params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 200, description = "It is gone", body = Message),
    (status = 404, description = "There is no such job"),
    (status = 409, description = "The job is not dead"),
))]
pub(crate) async fn purge_job(
    State(app): State<App>,
    Admin(who): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::purge(&app, Some(who.user_id), &Dead::One(id)).await?;
    Ok(Json(Message { msg: "job purged" }))
}

/// Let a dead job begin anew.
#[utoipa::path(post, path = "/admin/jobs/{id}/requeue", tag = "jobs", security(("bearer" = ["admin"])), params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 200, description = "It waits, its tries counted from 1", body = Message),
    (status = 404, description = "There is no such job"),
    (status = 409, description = "The job is not dead, or another one with its unique key lives"),
))]
pub(crate) async fn requeue_job(
    State(app): State<App>,
    Admin(who): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::requeue(&app, Some(who.user_id), &Dead::One(id)).await?;
    Ok(Json(Message { msg: "job requeued" }))
}

/// End a job that waits or runs.
#[utoipa::path(post, path = "/admin/jobs/{id}/cancel", tag = "jobs", security(("bearer" = ["admin"])), params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 200, description = "It has ended, or will in a moment", body = Message),
    (status = 404, description = "There is no such job"),
    (status = 409, description = "The job has ended already"),
))]
pub(crate) async fn cancel_job(
    State(app): State<App>,
    Admin(who): Admin,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    control::cancel_as_operator(&app, Some(who.user_id), id).await?;
    Ok(Json(Message { msg: "job cancelled" }))
}

/// Let all dead jobs begin anew.
#[utoipa::path(post, path = "/admin/jobs/requeue", tag = "jobs", security(("bearer" = ["admin"])), request_body = Option<WhichDead>, responses(
    (status = 200, description = "They wait; of several with one unique key only the newest", body = Changed),
    (status = 400, description = "The kind is none"),
))]
pub(crate) async fn requeue_jobs(
    State(app): State<App>,
    Admin(who): Admin,
    OptionalJson(which): OptionalJson<WhichDead>,
) -> Answer<Json<Changed>> {
    let jobs = control::requeue(&app, Some(who.user_id), &which.checked()?).await?;
    Ok(Json(Changed { msg: "jobs requeued", jobs }))
}

/// Remove all dead jobs for good.
#[utoipa::path(post, path = "/admin/jobs/purge", tag = "jobs", security(("bearer" = ["admin"])), request_body = Option<WhichDead>, responses(
    (status = 200, description = "They are gone", body = Changed),
    (status = 400, description = "The kind is none"),
))]
pub(crate) async fn purge_jobs(
    State(app): State<App>,
    Admin(who): Admin,
    OptionalJson(which): OptionalJson<WhichDead>,
) -> Answer<Json<Changed>> {
    let jobs = control::purge(&app, Some(who.user_id), &which.checked()?).await?;
    Ok(Json(Changed { msg: "jobs purged", jobs }))
}
