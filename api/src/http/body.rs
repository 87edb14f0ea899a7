//! Request bodies: read once, before the handler runs, and parsed from memory.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use futures::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use shared::Error;

use crate::http::problem::Problem;

/// The largest body that is accepted.
const MAX_BODY: usize = 64 * 1024;

/// A body must arrive within this time.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON object. Unknown members are ignored, because clients send more than is needed.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A JSON object; without a body, an empty one.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// The body, after [`read`].
#[derive(Clone)]
struct WholeBody(Bytes);

/// Reads the body into memory, where the extractors find it.
pub(crate) async fn read(request: &mut Request) -> Result<(), Problem> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    let body = std::mem::take(request.body_mut());
    let too_slow =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body took too long to arrive");
    let bytes = tokio::time::timeout(READ_TIMEOUT, collect(body)).await.map_err(too_slow)??;
    request.extensions_mut().insert(WholeBody(bytes));
    Ok(())
}

/// A body that is slightly too large is still read to its end, because a client that is cut off while it sends does not get to
/// see the answer.
async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let (mut body, mut received) = (Vec::new(), 0);
    while received <= 16 * MAX_BODY
        && let Some(piece) = pieces.next().await
    {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body could not be read")
        })?;
        received += piece.len();
        if received <= MAX_BODY {
            body.extend_from_slice(&piece);
        }
    }
    if received <= MAX_BODY { Ok(body.into()) } else { Err(StatusCode::PAYLOAD_TOO_LARGE.into()) }
}

/// The body of a request that has been read; empty if there is none.
pub(crate) fn bytes(parts: &Parts) -> &[u8] {
    parts.extensions.get::<WholeBody>().map_or(&[], |body| &body.0)
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if is_json(&parts.headers) { parse(bytes(parts)).map(Self) } else { Err(not_json()) }
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match bytes(parts) {
            [] => parse(b"{}").map(Self),
            body if is_json(&parts.headers) => parse(body).map(Self),
            _ => Err(not_json()),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn not_json() -> Problem {
    StatusCode::UNSUPPORTED_MEDIA_TYPE.into()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Serde can also read structs from arrays, which no client means.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'{')
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
    {
        return Err(Error::invalid("", "the body must be a JSON object").into());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            invalid(pointer, &inner.to_string()).into()
        } else {
            malformed(format!("the body is not valid JSON: {inner}"))
        }
    })?;
    reader.end().map_err(|_| malformed("the body has text after its JSON value"))?;
    Ok(value)
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

/// The path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |text, segment| match segment {
        Segment::Seq { index } => format!("{text}/{index}"),
        Segment::Map { key } => format!("{text}/{key}"),
        Segment::Enum { variant } => format!("{text}/{variant}"),
        Segment::Unknown => text,
    })
}

/// Serde's message about a field, in words for people who fill in forms.
fn invalid(pointer: String, message: &str) -> Error {
    let message = message.split(" at line ").next().unwrap_or(message);
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Error::invalid(format!("{pointer}/{field}"), "is missing");
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if !pointer.is_empty() => Error::invalid(pointer, format!("must be {expected}")),
        _ => Error::invalid(pointer, message),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors are looked at")]
    struct Form {
        name: String,
        flag: Option<bool>,
    }

    #[test]
    fn errors_name_the_field_and_what_it_must_be() {
        let detail = |body: &str| format!("{:?}", parse::<Form>(body.as_bytes()).unwrap_err());
        for (body, expected) in [
            (r#"{"flag":true}"#, "name is missing"),
            (r#"{"name":7}"#, "name must be a string"),
            (r#"{"name":"a","flag":"yes"}"#, "flag must be a boolean"),
            (r#"["a",true]"#, "the body must be a JSON object"),
            (r#"{"name":"a"} 7"#, "the body has text after its JSON value"),
            (r#"{"name""#, "the body is not valid JSON"),
        ] {
            assert!(detail(body).contains(expected), "{body}: {}", detail(body));
        }
    }
}
