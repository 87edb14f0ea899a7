//! What happens around every request: an id, a trace, limits, CORS, and a body for every error.

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use shared::{app::App, telemetry};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer, timeout::TimeoutLayer};
use tracing::Instrument;
use uuid::Uuid;

use crate::problem;

/// The largest body that is read.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The longest path and query.
const MAX_URI: usize = 8 * 1024;

/// No request is worked on longer.
const TIMEOUT: Duration = Duration::from_secs(30);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, REQUEST_ID])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header::CONTENT_DISPOSITION, REQUEST_ID]);
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            tracing::error!("a handler panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }))
        .layer(middleware::from_fn(limit_uri))
        .layer(middleware::from_fn(problem::finish))
        .layer(cors)
        .layer(middleware::from_fn(forget_strangers))
        .layer(middleware::from_fn(identify))
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

/// Takes the caller's request id if it is a sensible one, or gives one, and logs the request under it.
async fn identify(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let sensible =
        |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = given.filter(sensible).map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", trace = id, http.method = %request.method(), http.path = request.uri().path());
    let answered = async {
        let response = next.run(request).await;
        tracing::debug!(http.status = response.status().as_u16(), "answered");
        response
    };
    let mut response = telemetry::traced(id.clone(), answered.instrument(span)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
