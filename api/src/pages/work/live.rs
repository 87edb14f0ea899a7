//! The spots of a lot, followed live: an event for each change, whichever process made it.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};
use shared::{
    Error, Result,
    app::App,
    base::{page::Page, time},
    jobs::status::followers::{Followers, Place},
    parking::{
        accounts::session,
        bookings,
        lots::{self, Moment, spots},
    },
    platform::cache::{Entry, Group, Recipe},
};
use tokio::time::Instant;

use super::super::visitor::Visitor;
use crate::{
    http::{cookies::Cookie, params::Path, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/work/lots/{id}/events", get(follow))
}

/// How often the cache is asked. It answers from memory until a change is announced, for all streams of a process.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A browser whose connection ends reconnects after this time.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Changes with the spots of a lot, those who hold them, and the windows of today. Only this hash is cached.
pub(super) async fn version(app: &App, lot_id: i64) -> Result<String> {
    let recipe = Recipe {
        key: format!("lot_at_work:{lot_id}"),
        groups: vec![Group::Catalog, Group::Occupancy],
        ttl: app.config.cache.parking,
    };
    let loader = app.clone();
    let entry = app.cache.get(recipe, move || load(loader.clone(), lot_id)).await?;
    Ok(String::from_utf8_lossy(&entry.body).into_owned())
}

/// The first instant of tomorrow.
pub(super) fn tomorrow(app: &App) -> DateTime<Utc> {
    let today = app.clock.now().with_timezone(&app.config.zone).date_naive();
    time::start_of_day(today + TimeDelta::days(1), app.config.zone)
}

async fn load(app: App, lot_id: i64) -> Result<Entry> {
    let moment = Moment::of(&app);
    let spots = spots::of_lot(&app, lot_id, &Page::default()).await?.items;
    let windows = bookings::expected_at(&app, lot_id, tomorrow(&app)).await?;
    let windows: Vec<_> =
        windows.iter().map(|row| (row.id, row.spot_id, row.starts_at, row.ends_at)).collect();
    let content = Entry::of(format!("{spots:?}{windows:?}").into_bytes());
    let expires_at = lots::next_boundary(&app, moment).await?;
    Ok(Entry { expires_at, ..Entry::of(content.etag.trim_matches('"').as_bytes().to_vec()) })
}

async fn follow(
    State(ApiState { app, followers }): State<ApiState>,
    visitor: Visitor,
    Path(lot_id): Path<i64>,
    headers: HeaderMap,
) -> Answer<Response> {
    let who = visitor.user()?;
    bookings::check_on_duty(app.db.read(), &who, lot_id).await?;
    let token = Cookie::Session.read(&headers, &app.config).unwrap_or_default().to_owned();
    let (now, bounds) = (Instant::now(), followers.bounds);
    let changes = Changes {
        token,
        lot_id,
        seen: String::new(),
        checked_at: now,
        ends_at: now + bounds.max_duration,
        _place: followers.enter(who.user_id)?,
        app,
        followers,
    };
    let mut response = Sse::new(changes.stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct Changes {
    app: App,
    followers: Followers,
    token: String,
    lot_id: i64,
    seen: String,
    checked_at: Instant,
    ends_at: Instant,
    _place: Place,
}

impl Changes {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let first = stream::iter([Ok(Event::default().retry(RECONNECT_AFTER))]);
        first.chain(stream::unfold(self, |mut changes| async move {
            let event = changes.next().await?;
            Some((Ok(event), changes))
        }))
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        let followers = self.followers.clone();
        tokio::select! {
            biased;
            () = followers.closed() => None,
            () = tokio::time::sleep_until(self.ends_at) => None,
            event = self.change_or_ping() => event,
        }
    }

    async fn change_or_ping(&mut self) -> Option<Event> {
        loop {
            // While the database is away, nothing changes.
            if let Ok(version) = version(&self.app, self.lot_id).await
                && version != self.seen
            {
                self.seen.clone_from(&version);
                return Some(Event::default().data(version));
            }
            if self.checked_at.elapsed() >= self.followers.bounds.recheck_interval {
                self.checked_at = Instant::now();
                return self.is_still_allowed().await.then(|| Event::default().comment("ping"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The session may end meanwhile, and the lot may be taken away. While neither can be checked, the stream goes on.
    async fn is_still_allowed(&self) -> bool {
        let checked = async {
            let who = session::authenticate(&self.app, &self.token).await?;
            bookings::check_on_duty(self.app.db.read(), &who, self.lot_id).await
        };
        match checked.await {
            Ok(()) => true,
            Err(error) => {
                !matches!(error, Error::Unauthenticated(_) | Error::Forbidden(_) | Error::NotFound(_))
            }
        }
    }
}
