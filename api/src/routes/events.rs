//! A task followed live: its states as server-sent events, for as long as it runs and its follower may know.

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
    jobs::{
        JobState,
        status::{Status, Version, followers::Following},
    },
    parking::accounts::session,
};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::{CurrentUser, bearer},
        extract::Path,
        problem::Answer,
    },
    routes::tasks::{self, TaskView},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(follow_task))
}

/// When a follower whose connection ends is to come again.
const RETRY: Duration = Duration::from_secs(2);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Follow a task by server-sent events.
///
/// Each event is what `GET /tasks/{id}` answers at that moment; states that follow each other faster than they can be sent
/// are left out. `current` never goes back within a run, and before another run comes a `PENDING`. The id of an event is
/// its place in the story of the task: sent back as `Last-Event-ID`, only what came later is sent, and in any case the end,
/// after which the stream ends; who has seen the end already gets 204. The stream also ends with the login, and after an hour.
#[utoipa::path(get, path = "/tasks/{task_id}/events", tag = "tasks", security(("bearer" = [])),
    params(("task_id" = Uuid, Path, description = "The task"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")), responses(
    (status = 200, description = "The states of the task, until it has ended", content_type = "text/event-stream", body = String,
     example = "id: 1795519200000000-1-50-200\ndata: {\"msg\":\"task\",\"state\":\"PROGRESS\",\"current\":50,\"total\":200}\n\n"),
    (status = 204, description = "The task has ended, which you know"),
    (status = 404, description = "You have no such task"),
    (status = 429, description = "Too many requests, or you follow too many tasks at once; wait as long as `Retry-After` says"),
))]
pub(crate) async fn follow_task(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Answer<Response> {
    // Before the first look, so that nothing is missed between the two.
    let following = app.followers.follow(&app, id, who.user_id)?;
    let status = tasks::find(&app, &who, id).await?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    if status.state.is_final() && seen == Some(status.version()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let bounds = app.followers.bounds;
    let mut check = tokio::time::interval_at(Instant::now() + bounds.check_every, bounds.check_every);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        token: bearer(&headers).unwrap_or_default().to_owned(),
        id,
        owner_id: status.owner_id,
        following,
        seen,
        check,
        ends: Instant::now() + bounds.longest,
        is_over: false,
        app,
    };
    let mut response = Sse::new(follower.stream(&status)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct Follower {
    app: App,
    token: String,
    id: Uuid,
    owner_id: Option<i64>,
    following: Following,
    /// What the client has seen.
    seen: Option<Version>,
    check: Interval,
    ends: Instant,
    is_over: bool,
}

impl Follower {
    fn stream(mut self, first: &Status) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
        let mut begin = vec![Event::default().retry(RETRY)];
        begin.extend(self.news(first));
        let rest = stream::unfold(self, |mut follower| async move {
            let events = follower.next().await?;
            Some((events, follower))
        });
        stream::iter([begin]).chain(rest).flat_map(stream::iter).map(Ok)
    }

    /// What is to be sent next; `None` when it is over.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.is_over {
            return None;
        }
        tokio::select! {
            biased;
            () = self.app.followers.closed() => None,
            () = tokio::time::sleep_until(self.ends) => {
                self.is_over = true;
                Some(vec![Event::default().comment("that was long; come again").retry(RETRY)])
            }
            status = self.following.changed() => Some(self.news(&status)),
            _ = self.check.tick() => self.may_go_on().await.then(|| vec![Event::default().comment("ping")]),
        }
    }

    /// The events that tell of a status, unless it is known.
    fn news(&mut self, status: &Status) -> Vec<Event> {
        let version = status.version();
        self.is_over = status.state.is_final();
        if !self.is_over && self.seen >= Some(version) {
            return Vec::new();
        }
        let begins_again = status.state == JobState::Running
            && self.seen.is_some_and(|seen| seen.is_in_a_run() && seen.run != version.run);
        self.seen = Some(version);
        let pending = Status { state: JobState::Queued, ..status.clone() };
        begins_again
            .then(|| self.event(version.before(), pending))
            .into_iter()
            .chain([self.event(version, status.clone())])
            .collect()
    }

    fn event(&self, version: Version, status: Status) -> Event {
        let event = Event::default().id(version.to_string());
        event.json_data(TaskView::of(self.id, status)).unwrap_or_else(|error| {
            tracing::error!(%error, "a state has no JSON form");
            Event::default().comment("a state has no JSON form")
        })
    }

    /// A login may end while its holder listens, and an administrator may become a driver. When nobody can tell, it goes on.
    async fn may_go_on(&self) -> bool {
        match session::authenticate(&self.app, &self.token).await {
            Ok(who) => who.is_admin || self.owner_id == Some(who.user_id),
            Err(Error::Unauthenticated(_)) => false,
            Err(_) => true,
        }
    }
}
