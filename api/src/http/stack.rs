//! What every request passes, in order: `complete_response` around CORS around `run_request` around the routes. Whatever
//! depends on the route is decided by its [`Policy`].

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::HttpBody,
    extract::{ConnectInfo, OriginalUri, Request, State},
    http::{HeaderValue, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use shared::{app::App, platform::telemetry};
use tower::ServiceBuilder;
use tracing::Instrument;

use crate::http::{
    admission::{Gates, Place},
    auth, body, headers,
    metrics::Measured,
    policy::{self, Policy},
    problem::{self, Problem},
    rate_limit, request_id, unread,
};

/// The longest path and query.
const MAX_URI: usize = 8 * 1024;

/// A client waits at most this long for a response to begin.
const DEADLINE: Duration = Duration::from_secs(30);

struct Stack {
    app: App,
    gates: Gates,
}

/// Wraps the routes. Layers around the router as a whole are cheaper than layers around each route, because the router clones
/// a route with all its layers for every request.
pub fn wrap(routes: Router, app: &App) -> Router {
    let stack = Arc::new(Stack { app: app.clone(), gates: Gates::new(app) });
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(app.clone(), complete_response))
        .layer(headers::cors(&app.config))
        .layer(middleware::from_fn_with_state(stack, run_request));
    Router::new().fallback_service(layers.service(routes))
}

/// Finds the policy of the request, counts and measures it, and adds the headers that every response has.
async fn complete_response(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let policy = policy::find(request.method(), request.uri().path());
    let measured = Measured::begin(&app, request.method(), policy);
    request.extensions_mut().insert(policy);
    let mut response = next.run(request).await;
    let status = response.status();
    let headers = response.headers_mut();
    headers::strip_cors_for_unknown_origins(headers);
    headers::protect(headers, &app.config);
    headers.extend(measured.end(&app, status));
    if app.draining.is_cancelled() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Runs the request unless the process is at capacity, and gives every error its body.
async fn run_request(State(stack): State<Arc<Stack>>, mut request: Request, next: Next) -> Response {
    let Some(policy) = request.extensions_mut().remove::<Policy>() else { return next.run(request).await };
    let id = request_id::of(request.headers());
    let path = request.uri().path().to_owned();
    let mut response = if stack.gates.is_full(policy.gate) {
        // Nothing more is done for it, so that rejecting is cheap.
        Problem::at_capacity().into_response()
    } else {
        request_id::traced(request, &id, policy, |request| run_until_deadline(stack, policy, request, next))
            .await
    };
    // Pages write their errors for people, outside of all this.
    if !policy.is_page {
        problem::complete(&mut response, &path, &id);
    }
    request_id::add(&mut response, &id);
    response
}

/// Responds with 503 after the deadline. A read is cancelled then. A write continues, as it does when the client disconnects: what
/// follows its commit must happen.
async fn run_until_deadline(stack: Arc<Stack>, policy: Policy, request: Request, next: Next) -> Response {
    let tasks = stack.app.tasks.clone();
    let running = AssertUnwindSafe(run_admitted(stack, policy, request, next)).catch_unwind();
    let done = if policy.writes {
        let trace = telemetry::trace_id().unwrap_or_default();
        let task = tasks.spawn(telemetry::in_trace(trace, running).in_current_span());
        tokio::time::timeout(DEADLINE, task)
            .await
            .map(|done| done.unwrap_or_else(|error| Err(Box::new(error))))
    } else {
        tokio::time::timeout(DEADLINE, running).await
    };
    match done {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Reads the body before it takes a place behind the gate, so that slow senders block no other request. A client that waits for 100
/// before it sends the body is checked first. A streamed response gives its place back when it begins.
async fn run_admitted(stack: Arc<Stack>, policy: Policy, mut request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URI) {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    if policy.is_route
        && !unread::waits_for_continue(request.headers())
        && let Err(problem) = body::read(&mut request).await
    {
        return problem.into_response();
    }
    match stack.gates.enter(policy.gate) {
        Ok(place) => run_within_limits(&stack, place, policy, request, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// Counts the call, identifies the caller, and runs the handler if the rate limit and the policy let the caller through.
async fn run_within_limits(
    stack: &Stack,
    place: Option<Place<'_>>,
    policy: Policy,
    mut request: Request,
    next: Next,
) -> Response {
    let app = &stack.app;
    if policy.is_known() {
        let method = policy::method_name(request.method());
        app.counters.increment(format!("endpoint_calls:{method} {}", policy.path));
        if let Some(counter) = policy.counter {
            app.counters.increment(counter);
        }
        strip_prefix(&mut request);
    }
    let Some(action) = policy.rate_limit else { return next.run(request).await };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    let caller = match auth::identify(app, policy, request.headers(), peer).await {
        Ok(caller) => caller,
        Err(error) => return Problem::from(error).into_response(),
    };
    let key = caller.key.clone();
    request.extensions_mut().insert(caller.address);
    let handling = async move {
        match caller.authorise(policy.access) {
            Ok(identity) => {
                if let Some(identity) = identity {
                    request.extensions_mut().insert(identity);
                }
                handle(stack, place, policy, request, next).await
            }
            Err(error) => Problem::from(error).into_response(),
        }
    };
    rate_limit::limited(app, action, &key, handling).await
}

/// Runs the handler. If the body has not been read, it is read without holding the place.
async fn handle<'a>(
    stack: &'a Stack,
    mut place: Option<Place<'a>>,
    policy: Policy,
    mut request: Request,
    next: Next,
) -> Response {
    if policy.is_route && !request.body().is_end_stream() {
        drop(place);
        if let Err(problem) = body::read(&mut request).await {
            return problem.into_response();
        }
        place = match stack.gates.enter(policy.gate) {
            Ok(place) => place,
            Err(problem) => return problem.into_response(),
        };
    }
    let response = next.run(request).await;
    drop(place);
    response
}

/// Every route has two addresses, with and without `/api`, and is mounted once. `OriginalUri` is what the client sent.
fn strip_prefix(request: &mut Request) {
    let uri = request.uri().clone();
    let rest = uri.path_and_query().and_then(|path| policy::without_prefix(path.as_str()));
    if let Some(Ok(path)) = rest.map(PathAndQuery::try_from) {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(stripped) = Uri::from_parts(parts) {
            *request.uri_mut() = stripped;
        }
    }
    request.extensions_mut().insert(OriginalUri(uri));
}
