//! Tasks followed live: their states as server-sent events, while the task runs and the client may see it.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use shared::{
    Error,
    app::App,
    base::identity::Identity,
    jobs::{
        JobState,
        status::{
            Status, Version,
            followers::{Followers, Following},
        },
    },
    parking::accounts::session,
};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::{CurrentUser, bearer},
        params::Path,
        problem::Answer,
    },
    routes::tasks::{self, TaskView},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(follow_task))
}

/// A client whose connection ends reconnects after this time.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Follow a task with server-sent events.
///
/// Each event has the body of `GET /tasks/{id}`. States that change faster than they can be sent are skipped. `current` never
/// decreases within a run, and `PENDING` is sent before another run. If a client sends the id of the last event that it has seen
/// as `Last-Event-ID`, only later events are sent. The stream ends with the final state; a client that has seen it gets 204. The
/// stream also ends when the session ends, and after an hour.
#[utoipa::path(get, path = "/tasks/{task_id}/events", tag = "tasks",
    params(("task_id" = Uuid, Path, description = "Task id"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client has seen")), responses(
    (status = 200, description = "The states of the task until it has ended", content_type = "text/event-stream", body = String,
     example = "id: 1795519200000000-1-50-200\ndata: {\"msg\":\"task\",\"state\":\"PROGRESS\",\"current\":50,\"total\":200}\n\n"),
    (status = 204, description = "The task has ended, and the client has seen its final state"),
    (status = 404, description = "You have no such task"),
    (status = 429, description = "Too many requests, or you follow too many tasks at once; wait for `Retry-After` seconds"),
))]
pub(crate) async fn follow_task(
    State(state): State<ApiState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Answer<Response> {
    let token = bearer(&headers).unwrap_or_default().to_owned();
    follow(state, user, token, id, &headers).await
}

/// Follows a task for as long as the session of the token is open.
pub(crate) async fn follow(
    ApiState { app, followers }: ApiState,
    user: Identity,
    token: String,
    id: Uuid,
    headers: &HeaderMap,
) -> Answer<Response> {
    // Followed before it is read, so that no change in between is missed.
    let following = followers.follow(id, user.user_id)?;
    let status = tasks::find(&app, &user, id).await?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    if status.state.is_final() && seen == Some(status.version()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let bounds = followers.bounds;
    let mut check =
        tokio::time::interval_at(Instant::now() + bounds.recheck_interval, bounds.recheck_interval);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = TaskEvents {
        token,
        id,
        owner_id: status.owner_id,
        following,
        seen,
        check,
        ends_at: Instant::now() + bounds.max_duration,
        is_over: false,
        app,
        followers,
    };
    let mut response = Sse::new(events.stream(&status)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct TaskEvents {
    app: App,
    followers: Followers,
    token: String,
    id: Uuid,
    owner_id: Option<i64>,
    following: Following,
    /// What the client has seen.
    seen: Option<Version>,
    check: Interval,
    ends_at: Instant,
    is_over: bool,
}

impl TaskEvents {
    fn stream(mut self, first: &Status) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
        let mut first_events = vec![Event::default().retry(RECONNECT_AFTER)];
        first_events.extend(self.unseen(first));
        let rest = stream::unfold(self, |mut task| async move {
            let events = task.next().await?;
            Some((events, task))
        });
        stream::iter([first_events]).chain(rest).flat_map(stream::iter).map(Ok)
    }

    /// The next events; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.is_over {
            return None;
        }
        tokio::select! {
            biased;
            () = self.followers.closed() => None,
            () = tokio::time::sleep_until(self.ends_at) => {
                self.is_over = true;
                Some(vec![Event::default().comment("maximum duration reached; reconnect").retry(RECONNECT_AFTER)])
            }
            status = self.following.changed() => Some(self.unseen(&status)),
            _ = self.check.tick() => self.is_still_allowed().await.then(|| vec![Event::default().comment("ping")]),
        }
    }

    /// The events for a status, if the client has not seen it.
    fn unseen(&mut self, status: &Status) -> Vec<Event> {
        let version = status.version();
        self.is_over = status.state.is_final();
        if !self.is_over && self.seen >= Some(version) {
            return Vec::new();
        }
        let is_next_run = status.state == JobState::Running
            && self.seen.is_some_and(|seen| seen.is_in_a_run() && seen.run != version.run);
        self.seen = Some(version);
        let pending = Status { state: JobState::Queued, ..status.clone() };
        is_next_run
            .then(|| self.event(version.before(), pending))
            .into_iter()
            .chain([self.event(version, status.clone())])
            .collect()
    }

    fn event(&self, version: Version, status: Status) -> Event {
        let event = Event::default().id(version.to_string());
        event.json_data(TaskView::new(self.id, status)).unwrap_or_else(|error| {
            tracing::error!(%error, "a status cannot be serialized");
            Event::default().comment("a status cannot be serialized")
        })
    }

    /// The session may end meanwhile, and an administrator may become a driver. While neither can be checked, the stream goes on.
    async fn is_still_allowed(&self) -> bool {
        match session::authenticate(&self.app, &self.token).await {
            Ok(user) => user.is_admin || self.owner_id == Some(user.user_id),
            Err(Error::Unauthenticated(_)) => false,
            Err(_) => true,
        }
    }
}
