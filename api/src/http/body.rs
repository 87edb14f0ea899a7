//! Request bodies: read once, before the handler runs, and parsed from memory.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use futures::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use shared::{Error, base::error::FieldError};

use crate::http::problem::{Problem, UNSUPPORTED_ENCODING};

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
    check_encoding(request.headers())?;
    let body = std::mem::take(request.body_mut());
    let too_slow =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body took too long to arrive");
    let bytes = tokio::time::timeout(READ_TIMEOUT, collect(body)).await.map_err(too_slow)??;
    request.extensions_mut().insert(WholeBody(bytes));
    Ok(())
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let mut codings =
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty());
    codings.find(|coding| !coding.eq_ignore_ascii_case("identity")).map_or(Ok(()), |coding| {
        let detail = format!("the body has the content encoding {coding}; send it without one (identity)");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_ENCODING, detail))
    })
}

/// The rest of a body that is too large is left to [`unread`](super::unread).
async fn collect(body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::from(StatusCode::PAYLOAD_TOO_LARGE);
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let (mut pieces, mut body) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body could not be read")
        })?;
        if body.len() + piece.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
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
        if error.inner().is_data() {
            Error::Invalid(faults::<T>(body, fault(&error))).into()
        } else {
            malformed(format!("the body is not valid JSON: {}", error.inner()))
        }
    })?;
    reader.end().map_err(|_| malformed("the body has text after its JSON value"))?;
    Ok(value)
}

/// Values of each type that JSON has, for members that are at fault.
const STAND_INS: [&str; 6] = [r#""0""#, "0", "true", "null", "[]", "{}"];

/// Every member at fault. Serde stops at the first, so that one gets a value that fits, and the body is read again.
fn faults<T: DeserializeOwned>(body: &[u8], first: FieldError) -> Vec<FieldError> {
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(body) else { return vec![first] };
    let read = |members: &Map<String, Value>| {
        serde_path_to_error::deserialize::<_, T>(Value::Object(members.clone()))
            .map_err(|error| fault(&error))
    };
    let mut found: Vec<FieldError> = Vec::new();
    while let Err(fault) = read(&members) {
        let is_known = found.iter().any(|known| known.pointer == fault.pointer);
        let Some(name) = member(&fault).filter(|_| !is_known).map(ToOwned::to_owned) else { break };
        found.push(fault);
        let fits = |stand_in: &&str| {
            members.insert(name.clone(), serde_json::from_str(stand_in).unwrap_or_default());
            read(&members).err().is_none_or(|next| member(&next) != Some(&name))
        };
        if !STAND_INS.iter().any(fits) {
            break;
        }
    }
    // A member that is there twice is lost when the body is read again.
    if !found.iter().any(|known| known.pointer == first.pointer) {
        found.insert(0, first);
    }
    found
}

/// The member of the body that is at fault.
fn member(fault: &FieldError) -> Option<&str> {
    fault.pointer.split('/').nth(1)
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

/// Serde's message about a member, in words for people who fill in forms.
fn fault(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let (pointer, message) = (pointer(error.path()), error.inner().to_string());
    let message = message.split(" at line ").next().unwrap_or(&message);
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return FieldError { pointer: format!("{pointer}/{field}"), message: "is missing".into() };
    }
    let message = match message.rsplit_once(", expected ") {
        Some((found, expected)) if !pointer.is_empty() => {
            let found = found.strip_prefix("invalid type: ").map_or("", |found| {
                KINDS.iter().find(|(kind, _)| found.starts_with(kind)).map_or("", |(_, words)| words)
            });
            let expected = match expected {
                "a string" => "text",
                "a boolean" => "true or false",
                other
                    if ["struct ", "internally tagged enum "].iter().any(|kind| other.starts_with(kind)) =>
                {
                    "an object"
                }
                other => other,
            };
            if found.is_empty() {
                format!("must be {expected}")
            } else {
                format!("must be {expected}, not {found}")
            }
        }
        _ => message.to_owned(),
    };
    FieldError { pointer, message }
}

/// Serde's names of types, and what people call them.
const KINDS: [(&str, &str); 7] = [
    ("null", "null"),
    ("boolean", "true or false"),
    ("integer", "a number"),
    ("floating point", "a number"),
    ("string", "text"),
    ("sequence", "a list"),
    ("map", "an object"),
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors are looked at")]
    struct Form {
        name: String,
        flag: Option<bool>,
        #[serde(default, deserialize_with = "crate::http::fields::integer")]
        count: i64,
        list: Vec<String>,
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let found = |body: &str| match parse::<Form>(body.as_bytes()) {
            Err(problem) => problem.errors().iter().map(ToString::to_string).collect(),
            Ok(_) => Vec::new(),
        };
        assert_eq!(found("{}"), ["name is missing", "list is missing"]);
        assert_eq!(
            found(r#"{"flag":1,"count":"1","list":[1]}"#),
            [
                "count must be a whole number, not text",
                "flag must be true or false, not a number",
                "list/0 must be text, not a number",
                "name is missing"
            ]
        );
        assert_eq!(found(r#"{"name":{},"list":[]}"#), ["name must be text, not an object"]);
    }

    #[test]
    fn errors_name_the_field_and_what_it_must_be() {
        let detail = |body: &str| format!("{:?}", parse::<Form>(body.as_bytes()).unwrap_err());
        for (body, expected) in [
            (r#"{"flag":true}"#, "name is missing"),
            (r#"{"name":7}"#, "name must be text, not a number"),
            (r#"{"name":null}"#, "name must be text, not null"),
            (r#"{"name":"a","flag":"yes","list":[]}"#, "flag must be true or false, not text"),
            (r#"{"name":"a","count":"1"}"#, "count must be a whole number, not text"),
            (r#"{"name":"a","count":1.5}"#, "count must be a whole number"),
            (r#"{"name":"a","name":"b"}"#, "duplicate field `name`"),
            (r#"["a",true]"#, "the body must be a JSON object"),
            (r#"{"name":"a","list":[]} 7"#, "the body has text after its JSON value"),
            (r#"{"name""#, "the body is not valid JSON"),
        ] {
            assert!(detail(body).contains(expected), "{body}: {}", detail(body));
        }
    }
}
