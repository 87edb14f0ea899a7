//! The id and the trace of a request: taken from the caller if well formed, otherwise new, and sent back with the response.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use shared::platform::telemetry::{self, spans};
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::http::policy::Policy;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// [W3C Trace Context](https://www.w3.org/TR/trace-context/).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The caller's request id if it is printable ASCII of at most 128 characters, otherwise a new one.
pub(crate) fn of(headers: &HeaderMap) -> String {
    let is_valid =
        |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    text(headers, &REQUEST_ID).filter(is_valid).map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// Adds the request id to a response.
pub(crate) fn add(response: &mut Response, id: &str) {
    response.headers_mut().extend(HeaderValue::from_str(id).ok().map(|id| (REQUEST_ID, id)));
}

/// Runs a request in a span and a trace, which the jobs that it enqueues carry on.
pub(crate) async fn traced<F>(
    request: Request,
    id: &str,
    policy: Policy,
    run: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let traceparent = text(request.headers(), &TRACEPARENT);
    let trace = traceparent
        .and_then(telemetry::parse_traceparent)
        .map_or_else(telemetry::new_trace_id, ToOwned::to_owned);
    let span = tracing::info_span!("request", trace, request.id = id, http.method = %request.method(),
        http.path = request.uri().path(), http.route = policy.path, http.status = Empty);
    if let Some(traceparent) = traceparent {
        spans::set_parent(&span, traceparent);
    }
    let running = run(request);
    let in_span = async {
        let mut response = running.await;
        let status = response.status().as_u16();
        let span = Span::current();
        span.record("http.status", i64::from(status));
        tracing::debug!(http.status = status, "answered");
        let parent = spans::span_id(&span).unwrap_or_else(|| telemetry::new_trace_id()[..16].to_owned());
        let value = HeaderValue::try_from(format!("00-{trace}-{parent}-01"));
        response.headers_mut().extend(value.ok().map(|value| (TRACEPARENT, value)));
        response
    };
    telemetry::in_trace(trace.clone(), in_span.instrument(span)).await
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
