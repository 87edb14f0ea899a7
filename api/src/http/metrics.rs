//! What an API process tells of itself to Prometheus, on an address of its own.

use std::time::Instant;

use anyhow::Context;
use axum::{
    Router,
    extract::{MatchedPath, State},
    http::{Method, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{counter, gauge, histogram};
use shared::{
    app::App,
    jobs::Queue,
    platform::{
        counters::Event,
        metrics::{self as names, Exporter},
        rate_limit::Action,
    },
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::http::stack::method_name;

/// Answers from the cache take a millisecond, reports a second.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Collects and serves at `METRICS_ADDR`, if there is one, until the returned task is dropped.
///
/// # Errors
/// When the address cannot be had, or this process collects already.
pub async fn start(app: &App) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let Some(address) = app.config.operations.metrics_addr else { return Ok(tasks) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let collected = Exporter::install(names::HTTP_SECONDS, &BUCKETS)?;
    begin_at_nought();
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let routes = Router::new().route("/metrics", get(metrics)).with_state((app.clone(), collected));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(tasks)
}

/// Counters that are there before they count: the first event is then seen as a rise.
fn begin_at_nought() {
    gauge!(names::HTTP_RUNNING).set(0);
    counter!(names::HTTP_SHED).absolute(0);
    for event in Event::ALL.map(Event::name).into_iter().chain([names::LOGIN_REFUSED]) {
        counter!(names::EVENTS, "event" => event).absolute(0);
    }
    for (action, _) in Action::ALL {
        counter!(names::RATE_LIMITED, "action" => action.name()).absolute(0);
    }
    for queue in Queue::ALL {
        counter!(names::ANNOUNCED, "queue" => queue.name()).absolute(0);
    }
}

async fn metrics(State((app, collected)): State<(App, Exporter)>) -> impl IntoResponse {
    for (pool, all, idle) in app.db.pools() {
        let idle = u32::try_from(idle).unwrap_or(all).min(all);
        gauge!(names::CONNECTIONS, "pool" => pool, "state" => "idle").set(idle);
        gauge!(names::CONNECTIONS, "pool" => pool, "state" => "used").set(all - idle);
    }
    gauge!(names::REDIS_AWAY).set(u8::from(app.redis.is_unavailable()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], collected.text())
}

/// A request that is being worked on; it counts as that until it is dropped.
pub(crate) struct Measured {
    method: &'static str,
    begun: Instant,
}

impl Measured {
    pub(crate) fn begin(method: &Method) -> Self {
        gauge!(names::HTTP_RUNNING).increment(1);
        Self { method: method_name(method), begun: Instant::now() }
    }

    /// Counts the answer under its route; all that have none, as strangers make them up, are one.
    pub(crate) fn end(self, response: &Response) {
        if !names::is_enabled() {
            return;
        }
        let route = response.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
        let route = route.strip_prefix("/api").unwrap_or(route).to_owned();
        let status = match response.status().as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        histogram!(names::HTTP_SECONDS, "method" => self.method, "route" => route.clone())
            .record(self.begun.elapsed());
        counter!(names::HTTP, "method" => self.method, "route" => route, "status" => status).increment(1);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        gauge!(names::HTTP_RUNNING).decrement(1);
    }
}
