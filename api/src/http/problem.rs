//! The body of every error: problem details (RFC 9457), with the fields that the old client reads.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{Error, base::error::FieldError};
use utoipa::ToSchema;

use crate::http::page;

/// An error on its way to the client. `complete` writes the body, where request id and path are known.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
}

/// The code for a `Content-Encoding` other than `identity`.
pub(crate) const UNSUPPORTED_ENCODING: &str = "unsupported_content_encoding";

/// What a handler returns.
pub type Answer<T> = Result<T, Problem>;

/// The body of an error (`application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Always `about:blank`; `code` identifies the problem.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status as text.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for people.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// What went wrong, for programs: stable, in snake case.
    pub code: &'static str,
    /// The id of the request, to quote when asking for help.
    pub request_id: String,
    /// The invalid fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// Seconds to wait before the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The same as `detail`, for older clients.
    #[schema(deprecated)]
    pub msg: String,
    /// The same as `detail`, for older clients.
    #[schema(deprecated)]
    pub message: String,
}

/// An invalid field.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// JSON pointer into the body, or the name of a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem that the API itself finds.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// The invalid fields.
    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Its status, its code, and what went wrong, for people.
    pub(crate) fn parts(self) -> (StatusCode, &'static str, String) {
        (self.status, self.code, self.detail)
    }

    /// Seconds to wait before the next attempt.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// The process is at capacity.
    pub(crate) fn at_capacity() -> Self {
        let detail = "the server is at capacity; try again in a second";
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail) }
    }

    /// For a response without a body, such as those of the router.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "this path does not support the method; see the Allow header")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is larger than 64 KiB"),
            StatusCode::URI_TOO_LONG => ("uri_too_long", "path and query are longer than 8 KiB"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "the body must be application/json")
            }
            StatusCode::RANGE_NOT_SATISFIABLE => ("range_not_satisfiable", "the file has no such range"),
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "the service is not available now; try again"),
            status if status.is_server_error() => ("internal", "something went wrong on the server"),
            _ => ("bad_request", "the request is malformed"),
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { retry_after, ..Self::new(status, code, detail) }
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::of_status(status)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            Error::Conflict { code, .. } => Self::new(StatusCode::CONFLICT, code, detail),
            Error::Gone(_) => Self::new(StatusCode::GONE, "gone", detail),
            Error::Invalid(errors) => {
                Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid", detail) }
            }
            Error::WrongCredentials => Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail),
            Error::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail),
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            Error::Unconfirmed { code, .. } => Self::new(StatusCode::FORBIDDEN, code, detail),
            Error::Changed => Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail),
            Error::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail),
            Error::RateLimited { retry_after } => Self {
                retry_after: Some(whole_seconds(retry_after).max(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            },
            Error::Overloaded => Self::at_capacity(),
            Error::Unavailable(_) | Error::Deferred(_) | Error::Held(_) => {
                tracing::error!(error = error.chain(), "a required service is not available");
                Self::of_status(StatusCode::SERVICE_UNAVAILABLE)
            }
            Error::Internal(_) | Error::Permanent(_) => {
                tracing::error!(error = error.chain(), "a request failed");
                Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// Rounded up, because a client that returns a moment too early is rejected again.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an error, also of those that come from the router or from a panic.
pub(crate) fn complete(response: &mut Response, instance: &str, request_id: &str) {
    let status = response.status();
    let is_page = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == page::KIND);
    if (!status.is_client_error() && !status.is_server_error()) || is_page {
        return;
    }
    let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| Problem::of_status(status));
    let body = ProblemBody {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        instance: instance.to_owned(),
        code: problem.code,
        request_id: request_id.to_owned(),
        errors: problem
            .errors
            .into_iter()
            .map(|field| ProblemField { pointer: field.pointer, detail: field.message })
            .collect(),
        retry_after: problem.retry_after,
        msg: problem.detail.clone(),
        message: problem.detail.clone(),
        detail: problem.detail,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if problem.code == UNSUPPORTED_ENCODING {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = serde_json::to_vec(&body).map_or_else(|_| Body::empty(), Body::from);
}
