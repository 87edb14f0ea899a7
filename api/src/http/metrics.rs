//! Metrics for Prometheus, served on a separate address.

use std::time::Instant;

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::IntoResponse,
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

use crate::http::policy::{Policy, method_name};

/// Cached responses take a millisecond, reports a second.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Collects metrics and serves them at `METRICS_ADDR`, if that is set, until the returned task is dropped.
///
/// # Errors
/// When the address is in use, or this process collects metrics already.
pub async fn start(app: &App) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let Some(address) = app.config.operations.metrics_addr else { return Ok(tasks) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let exporter = Exporter::install(names::HTTP_SECONDS, &BUCKETS)?;
    start_at_zero();
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    let routes = Router::new().route("/metrics", get(metrics)).with_state((app.clone(), exporter));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(tasks)
}

/// Creates the counters before their first event, so that Prometheus sees it as an increase.
fn start_at_zero() {
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

async fn metrics(State((app, exporter)): State<(App, Exporter)>) -> impl IntoResponse {
    for (pool, all, idle) in app.db.pools() {
        let idle = u32::try_from(idle).unwrap_or(all).min(all);
        gauge!(names::CONNECTIONS, "pool" => pool, "state" => "idle").set(idle);
        gauge!(names::CONNECTIONS, "pool" => pool, "state" => "used").set(all - idle);
    }
    gauge!(names::REDIS_AWAY).set(u8::from(app.redis.is_unavailable()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], exporter.text())
}

/// A request in progress; it counts as one until it is dropped.
pub(crate) struct Measured {
    method: &'static str,
    /// The label of the route. Paths without a route share one, as clients can invent any number of them.
    route: &'static str,
    started: Instant,
}

impl Measured {
    pub(crate) fn begin(app: &App, method: &Method, policy: Policy) -> Self {
        gauge!(names::HTTP_RUNNING).increment(1);
        app.counters.increment("total_api_calls");
        let route = if policy.is_known() { policy.path } else { "none" };
        Self { method: method_name(method), route, started: Instant::now() }
    }

    /// Counts the response, and returns the header that says how long it took.
    pub(crate) fn end(self, app: &App, status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
        let took = self.started.elapsed();
        app.counters.increment(format!("response_codes:{}", status.as_u16()));
        if names::is_enabled() {
            histogram!(names::HTTP_SECONDS, "method" => self.method, "route" => self.route).record(took);
            let labels = [("method", self.method), ("route", self.route), ("status", class(status))];
            counter!(names::HTTP, &labels).increment(1);
        }
        let value = format!("app;dur={:.1}", took.as_secs_f64() * 1000.0);
        Some((HeaderName::from_static("server-timing"), HeaderValue::try_from(value).ok()?))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        gauge!(names::HTTP_RUNNING).decrement(1);
    }
}

const fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
