//! Queues, schedules, and running and dead jobs.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    Error, Result,
    app::App,
    base::page::Page,
    jobs::{
        Queue,
        control::{self, Dead, DeadJob, QueueRow, RunningJob, ScheduleRow},
    },
    operations::schedules,
    platform::idempotency::Idempotency,
};
use uuid::Uuid;

use super::super::{
    form::Form,
    views::{After, ROWS},
    visitor::{Visitor, see},
};
use crate::{
    http::{
        params::{Path, Query},
        problem::Answer,
    },
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/admin/jobs", get(list))
        .route("/ui/admin/jobs/{id}/requeue", post(requeue))
        .route("/ui/admin/queues/{name}/pause", post(pause_queue))
        .route("/ui/admin/queues/{name}/resume", post(resume_queue))
        .route("/ui/admin/schedules/{name}/run", post(run_schedule))
        .route("/ui/admin/schedules/{name}/pause", post(pause_schedule))
        .route("/ui/admin/schedules/{name}/resume", post(resume_schedule))
}

async fn page(app: &App, visitor: &Visitor, after: &str) -> Result<Value> {
    let queues: Vec<Value> = control::list_queues(app).await?.iter().map(queue).collect();
    let schedules = control::list_schedules(app, &schedules::all(&app.config)?).await?;
    let schedules: Vec<Value> = schedules.iter().map(|row| schedule(visitor, row)).collect();
    let running: Vec<Value> =
        control::list_running(app).await?.iter().map(|job| running(visitor, job)).collect();
    let dead = control::list_dead(app, &Page { limit: ROWS, after: after.parse().ok() }).await?;
    let next = dead.next(|job| job.id.to_string());
    let dead: Vec<Value> = dead.items.iter().map(|job| dead_job(visitor, job)).collect();
    Ok(context! { queues, schedules, running, dead, next, first => !after.is_empty() })
}

fn queue(row: &QueueRow) -> Value {
    context! {
        name => row.name, paused => row.paused_at.is_some(), waiting => row.waiting, due => row.due,
        oldest => row.oldest_seconds, running => row.running,
    }
}

fn schedule(visitor: &Visitor, row: &ScheduleRow) -> Value {
    context! {
        name => row.name, timetable => &row.timetable, paused => row.paused_at.is_some(),
        next => row.next_run.map(|at| visitor.instant(at)), last => row.last_run.map(|at| visitor.instant(at)),
        state => row.last_state.map(|state| state.as_str()),
    }
}

fn running(visitor: &Visitor, job: &RunningJob) -> Value {
    context! {
        id => job.id.to_string(), kind => &job.kind, queue => &job.queue, worker => job.worker.as_deref(),
        attempt => job.attempt, most => job.max_attempts, current => job.progress_current,
        total => job.progress_total, since => job.started_at.map(|at| visitor.instant(at)),
    }
}

fn dead_job(visitor: &Visitor, job: &DeadJob) -> Value {
    context! {
        id => job.id.to_string(), kind => &job.kind, queue => &job.queue, attempt => job.attempt,
        error => job.error.as_deref(), ended => job.finished_at.map(|at| visitor.instant(at)),
    }
}

async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(After { after }): Query<After>,
) -> Answer<Response> {
    visitor.page("admin/jobs.html", page(&app, &visitor, &after).await?)
}

async fn after<T>(app: &App, visitor: &Visitor, done: Result<T>, key: &str) -> Answer<Response> {
    match done {
        Ok(_) => Ok(see(&format!("/ui/admin/jobs?done={key}"))),
        Err(error) => {
            let values = page(app, visitor, "").await?;
            visitor.rejected("admin/jobs.html", error, &Form::default(), values)
        }
    }
}

async fn requeue(State(app): State<App>, visitor: Visitor, Path(id): Path<Uuid>) -> Answer<Response> {
    let done = control::requeue(&app, &(&visitor.user()?).into(), &Dead::One(id)).await;
    after(&app, &visitor, done, "requeued").await
}

fn find(name: &str) -> Result<Queue> {
    Queue::named(name).ok_or(Error::NotFound("queue"))
}

async fn pause_queue(State(app): State<App>, visitor: Visitor, Path(name): Path<String>) -> Answer<Response> {
    let done = control::pause_queue(&app, &(&visitor.user()?).into(), find(&name)?).await;
    after(&app, &visitor, done, "paused").await
}

async fn resume_queue(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let done = control::resume_queue(&app, &(&visitor.user()?).into(), find(&name)?).await;
    after(&app, &visitor, done, "resumed").await
}

async fn run_schedule(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let schedule = schedules::named(&app.config, &name)?;
    let by = (&visitor.user()?).into();
    let done = control::run_now(&app, &by, &schedule, Idempotency::none()).await;
    after(&app, &visitor, done, "started").await
}

async fn pause_schedule(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let schedule = schedules::named(&app.config, &name)?;
    let done = control::pause_schedule(&app, &(&visitor.user()?).into(), &schedule).await;
    after(&app, &visitor, done, "paused").await
}

async fn resume_schedule(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let schedule = schedules::named(&app.config, &name)?;
    let done = control::resume_schedule(&app, &(&visitor.user()?).into(), &schedule).await;
    after(&app, &visitor, done, "resumed").await
}
