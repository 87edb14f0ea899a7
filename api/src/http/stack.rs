//! What happens around every request: an id, a trace, limits, CORS, and a body for every error.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use shared::{
    app::App,
    platform::telemetry::{self, spans},
};
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::http::{
    admission::{self, Gates},
    limits,
    metrics::Measured,
    problem,
};

/// The largest body that is read.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The longest path and query.
const MAX_URI: usize = 8 * 1024;

/// No request is worked on longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// JSON is no page: nothing of it is run, framed, or taken for something else, and nobody in between keeps it.
const PROTECTION: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// As in [W3C Trace Context](https://www.w3.org/TR/trace-context/).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Names a request in logs, answers and the jobs that it enqueues.
#[derive(Debug, Clone, Default)]
pub struct RequestId(pub String);

/// Wraps the routes.
pub fn wrap(routes: Router, app: &App) -> Router {
    let origins: Vec<HeaderValue> =
        app.config.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            IDEMPOTENCY_KEY,
            REQUEST_ID,
            TRACEPARENT,
        ])
        .expose_headers([
            header::LOCATION,
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::LINK,
            HeaderName::from_static("idempotency-replayed"),
            HeaderName::from_static("x-ratelimit-remaining"),
            REQUEST_ID,
            TRACEPARENT,
        ]);
    // Only what must know the route goes around each single one: for every request the router clones a route with all
    // its layers, and each layer clones those within it again. What goes around the router as a whole clones one `Arc`.
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), at_route));
    let gates = Gates::new(app);
    let around = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .layer(middleware::from_fn(forget_strangers))
        .layer(middleware::from_fn_with_state(app.clone(), protect))
        .layer(cors)
        .layer(middleware::from_fn_with_state(gates.clone(), admission::turn_away))
        .layer(middleware::from_fn(identify))
        .layer(middleware::from_fn(problem::finish))
        .layer(middleware::from_fn(limit_uri))
        .layer(middleware::from_fn_with_state(app.clone(), bound))
        .layer(middleware::from_fn_with_state(gates, admission::admit))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            tracing::error!("a handler panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .service(routes);
    Router::new().fallback_service(around)
}

/// Nobody waits for an answer longer than [`TIMEOUT`]. A read is dropped then. A write goes on, as it does when its caller
/// goes away: what follows its commit must happen.
async fn bound(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_read = request.method().is_safe();
    let answering = next.run(request);
    let answer = if is_read {
        tokio::time::timeout(TIMEOUT, answering).await.ok()
    } else {
        let trace = telemetry::trace_id().unwrap_or_default();
        let task = app.tasks.spawn(telemetry::in_trace(trace, answering).in_current_span());
        tokio::time::timeout(TIMEOUT, task)
            .await
            .ok()
            .map(|done| done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
    };
    answer.unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// Counts calls and answers by status, and says how long the answer took. A process that is about to stop asks its clients
/// to connect anew.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    app.counters.increment("total_api_calls");
    let measured = Measured::begin(request.method());
    let mut response = next.run(request).await;
    measured.end(&response);
    app.counters.increment(format!("response_codes:{}", response.status().as_u16()));
    let took = format!("app;dur={:.1}", begun.elapsed().as_secs_f64() * 1000.0);
    if let Ok(took) = HeaderValue::from_str(&took) {
        response.headers_mut().insert("server-timing", took);
    }
    if app.draining.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Counts calls by endpoint, and limits them.
async fn at_route(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("", MatchedPath::as_str);
    let path = path.strip_prefix("/api").unwrap_or(path);
    if matched.is_some() {
        app.counters.increment(format!("endpoint_calls:{method} {path}"));
        match (method, path.split('/').nth(1)) {
            ("GET", Some("users")) => app.counters.increment("api_calls:users:get"),
            ("GET", Some("parking-lots")) => app.counters.increment("api_calls:parking_lots:get"),
            _ => {}
        }
    }
    tracing::Span::current().record("http.route", path);
    let mut response = limits::limit(&app, path, request, next).await;
    if let Some(matched) = matched.filter(|_| shared::platform::metrics::is_enabled()) {
        response.extensions_mut().insert(matched);
    }
    response
}

/// A method as it is counted: anybody can make up methods, and every name is a key in Redis.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

async fn limit_uri(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > MAX_URI { StatusCode::URI_TOO_LONG.into_response() } else { next.run(request).await }
}

/// Other origins than those of the list are told nothing about CORS at all.
async fn forget_strangers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        for name in [
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
        ] {
            headers.remove(name);
        }
    }
    response
}

/// What browsers are told for everybody's safety; an answer that says something else itself, as pages do, is left alone.
async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.config.public_url.starts_with("https://") {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Takes the caller's request id and trace if they are sensible ones, or gives new ones, and logs the request under them.
/// The trace is what its jobs carry on.
async fn identify(mut request: Request, next: Next) -> Response {
    let (id, trace) = names(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", trace, request.id = id, http.method = %request.method(), http.path = request.uri().path(),
        http.route = Empty, http.status = Empty);
    if let Some(traceparent) = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        spans::set_parent(&span, traceparent);
    }
    let answered = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::Span::current().record("http.status", i64::from(status));
        tracing::debug!(http.status = status, "answered");
        // Our own step of the trace has an id, too.
        let ours = spans::span_id(&tracing::Span::current())
            .unwrap_or_else(|| telemetry::new_trace_id()[..16].to_owned());
        (response, ours)
    };
    let (mut response, ours) = telemetry::in_trace(trace.clone(), answered.instrument(span)).await;
    let trace = HeaderValue::try_from(format!("00-{trace}-{ours}-01"));
    response.headers_mut().extend(trace.ok().map(|trace| (TRACEPARENT, trace)));
    sign(&mut response, &id);
    response
}

/// Tells the caller the id of the request.
pub(crate) fn sign(response: &mut Response, id: &str) {
    response.headers_mut().extend(HeaderValue::from_str(id).ok().map(|id| (REQUEST_ID, id)));
}

/// The request id and the trace.
fn names(headers: &HeaderMap) -> (String, String) {
    let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = given.and_then(telemetry::parse_traceparent);
    (request_id(headers), trace.map_or_else(telemetry::new_trace_id, ToOwned::to_owned))
}

/// That of the caller if it is a sensible one, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let sensible =
        |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sensible);
    given.map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}
