//! Headers of every response: protection for browsers, and CORS for the origins of the settings.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use shared::platform::config::Config;
use tower_http::cors::CorsLayer;

use crate::http::request_id::{REQUEST_ID, TRACEPARENT};

/// JSON is not a page: it must not be run, framed, sniffed or stored.
const PROTECTION: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// How long browsers may remember the answer to a preflight. None remembers it for longer.
const PREFLIGHT_LIFETIME: Duration = Duration::from_hours(2);

/// Adds protection where the response, such as a page, has not set its own.
pub(crate) fn protect(headers: &mut HeaderMap, config: &Config) {
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(value);
    }
    if config.public_url.starts_with("https://") {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Answers preflights, and allows the origins of `CORS_ORIGINS`.
pub(crate) fn cors(config: &Config) -> CorsLayer {
    let origins = config.cors_origins.iter().filter_map(|origin| origin.parse().ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<HeaderValue>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CACHE_CONTROL,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            REQUEST_ID,
            TRACEPARENT,
        ])
        .max_age(PREFLIGHT_LIFETIME)
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
        ])
}

/// Removes the headers that [`cors`] adds for every origin from responses to origins that are not allowed.
pub(crate) fn strip_cors_for_unknown_origins(headers: &mut HeaderMap) {
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    for name in [
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        header::ACCESS_CONTROL_MAX_AGE,
    ] {
        headers.remove(name);
    }
}
