//! Reading requests: bodies, paths and queries that are wrong become problems that say where.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use futures::StreamExt;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Unexpected, Visitor},
};
use shared::Error;

use crate::http::{problem::Problem, stack::MAX_BODY};

/// A body comes within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body, an object. Unknown members are ignored, as clients send more than is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The same, where no body at all counts as an empty object.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// Parameters of the path. One that cannot be read names nothing that exists.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// Parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        parse(&read_body(request.into_body()).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let body = read_body(request.into_body()).await?;
        match (body.is_empty(), json) {
            (true, _) => parse(b"{}").map(Self),
            (false, true) => parse(&body).map(Self),
            (false, false) => Err(not_json()),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) =
            axum::extract::Path::from_request_parts(parts, state).await.map_err(|_| {
                Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
            })?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(value) = axum::extract::Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid", error.body_text()))?;
        Ok(Self(value))
    }
}

/// The path as the client wrote it, before the routes took `/api` away.
pub(crate) struct OriginalPath(String);

impl OriginalPath {
    pub(crate) fn of(request: &Request) -> Self {
        let original = request.extensions().get::<OriginalUri>().map(|uri| &uri.0);
        Self(original.unwrap_or_else(|| request.uri()).path().to_owned())
    }

    /// The same route has two addresses.
    pub(crate) fn without_prefix(&self) -> &str {
        self.0.strip_prefix("/api").unwrap_or(&self.0)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn not_json() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be application/json",
    )
}

/// The body, unless it is too large. One that is not much too large is still read to its end, because a client that
/// is cut off while it sends does not get to see the answer.
pub(crate) async fn read_body(body: Body) -> Result<Vec<u8>, Problem> {
    let late =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body took too long to come");
    tokio::time::timeout(PATIENCE, whole_body(body)).await.map_err(late)?
}

async fn whole_body(body: Body) -> Result<Vec<u8>, Problem> {
    let mut pieces = body.into_data_stream();
    let (mut body, mut seen) = (Vec::new(), 0);
    while seen <= 16 * MAX_BODY
        && let Some(piece) = pieces.next().await
    {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body could not be read")
        })?;
        seen += piece.len();
        if seen <= MAX_BODY {
            body.extend_from_slice(&piece);
        }
    }
    if seen <= MAX_BODY { Ok(body) } else { Err(StatusCode::PAYLOAD_TOO_LARGE.into()) }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Structs can also be read from arrays, which is not what anybody means here.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
    {
        return Err(Error::invalid("", "the body must be a JSON object").into());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::from(Error::invalid(pointer, without_position(&inner)))
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not JSON: {inner}"))
        }
    })?;
    if reader.end().is_err() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            "the body goes on after its JSON value",
        ));
    }
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |text, segment| match segment {
        Segment::Seq { index } => format!("{text}/{index}"),
        Segment::Map { key } => format!("{text}/{key}"),
        Segment::Enum { variant } => format!("{text}/{variant}"),
        Segment::Unknown => text,
    })
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A whole number. JSON does not tell `1` from `1.0`.
///
/// # Errors
/// When it is none.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Whole { or_text: false })
}

/// The same where it may be missing or null.
///
/// # Errors
/// When it is something else.
pub fn optional_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Present(#[serde(deserialize_with = "whole")] i64);
    Ok(Option::<Present>::deserialize(deserializer)?.map(|present| present.0))
}

/// A whole number, or a text that holds one: the old client's forms send either.
///
/// # Errors
/// When it is neither.
pub fn whole_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Whole { or_text: true })
}

/// The same where it may be missing or null.
///
/// # Errors
/// As [`whole_or_text`].
pub fn optional_whole_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Present(#[serde(deserialize_with = "whole_or_text")] i64);
    Ok(Option::<Present>::deserialize(deserializer)?.map(|present| present.0))
}

struct Whole {
    or_text: bool,
}

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        let is_whole = number.fract() == 0.0 && number.abs() < 9.2e18;
        is_whole.then_some(number as i64).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        let number = text.trim().parse().ok().filter(|_| self.or_text);
        number.ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }
}

/// A number, or a text that holds one.
///
/// # Errors
/// When it is neither.
pub fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }
    let wrong = || de::Error::custom("must be a number");
    match Either::deserialize(deserializer).map_err(|_| wrong())? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.trim().parse().map_err(|_| wrong()),
    }
}

/// The same for a member that may be missing, but not null; with `#[serde(default)]`.
///
/// # Errors
/// As [`number_or_text`].
pub fn maybe_number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number_or_text(deserializer).map(Some)
}

/// The same for whole numbers.
///
/// # Errors
/// As [`whole_or_text`].
pub fn maybe_whole_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    whole_or_text(deserializer).map(Some)
}

/// A member that may be missing, but not null; with `#[serde(default)]`.
///
/// # Errors
/// Those of its type.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
