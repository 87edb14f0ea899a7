//! Response headers: described once under `components`, and referenced by every response that has them.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::{
    Header, HeaderBuilder, ObjectBuilder, RefOr, Response, Type,
    path::{Operation, ParameterIn},
};

use super::parameters::has_parameter;

/// Name, description and example.
const TEXTS: [(&str, &str, &str); 12] = [
    (
        "X-Request-Id",
        "The id of the request: the one that was sent, or a new one",
        "0190a0a0-0000-7000-8000-000000000000",
    ),
    (
        "Traceparent",
        "The trace (W3C Trace Context): the one that was sent, or a new one. It appears in logs and continues in jobs",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    (
        "RateLimit-Policy",
        "The rate limit: calls (`q`) in a window of seconds (`w`)",
        "\"default\";q=300;w=60",
    ),
    ("RateLimit", "Calls left (`r`), and seconds until the limit is reset (`t`)", "\"default\";r=299;t=42"),
    ("ETag", "The version of the answer, for `If-None-Match` and `If-Match`", "\"7-3\""),
    (
        "Link",
        "The next page of the list, if there is one",
        "</api/parking-lots?limit=50&cursor=57>; rel=\"next\"",
    ),
    (
        "Location",
        "The address of the new resource, or of the task",
        "/api/tasks/0190a0a0-0000-7000-8000-000000000000",
    ),
    (
        "Idempotency-Replayed",
        "`true` if this is the stored answer to an earlier request with the same key",
        "true",
    ),
    ("WWW-Authenticate", "`Bearer`", "Bearer"),
    ("Content-Disposition", "The name of the file", "attachment; filename=\"parking.csv\""),
    ("Accept-Ranges", "`bytes`", "bytes"),
    ("Content-Range", "The range of bytes in the body, and the size of the file", "bytes 0-99/2048"),
];

const NUMBERS: [(&str, &str, i64); 4] = [
    ("X-RateLimit-Limit", "Calls allowed in the window", 300),
    ("X-RateLimit-Remaining", "Calls left", 299),
    ("X-RateLimit-Reset", "Seconds until the limit is reset", 42),
    ("Retry-After", "Seconds to wait before the next attempt", 1),
];

const LIMITS: [&str; 5] =
    ["RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// The headers under `components`.
pub(super) fn components() -> BTreeMap<String, RefOr<Header>> {
    let header = |name: &str, description: &str, kind: Type, example: serde_json::Value| {
        let schema = ObjectBuilder::new().schema_type(kind).examples([example]);
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        (name.to_owned(), RefOr::T(header))
    };
    let texts =
        TEXTS.into_iter().map(|(name, text, example)| header(name, text, Type::String, json!(example)));
    let numbers =
        NUMBERS.into_iter().map(|(name, text, example)| header(name, text, Type::Integer, json!(example)));
    texts.chain(numbers).collect()
}

/// References the headers of every response, including those that a handler describes.
pub(super) fn add(operation: &mut Operation, is_limited: bool) {
    let is = |name| has_parameter(operation, name, ParameterIn::Header);
    let (cached, once) = (is("If-None-Match"), is("Idempotency-Key"));
    let is_list = has_parameter(operation, "cursor", ParameterIn::Query);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let status = status.as_str();
        let succeeds = status.starts_with('2');
        let groups: [(bool, &[&str]); 7] = [
            (true, &["X-Request-Id", "Traceparent"]),
            (is_limited && (succeeds || status == "304" || status == "429"), &LIMITS),
            (cached && (succeeds || status == "304"), &["ETag"]),
            (is_list && succeeds, &["Link"]),
            (once && succeeds, &["Idempotency-Replayed"]),
            (status == "401", &["WWW-Authenticate"]),
            (["429", "503"].contains(&status), &["Retry-After"]),
        ];
        let own: Vec<String> = response.headers.keys().cloned().collect();
        let common = groups.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, names)| names.iter());
        for name in own.into_iter().chain(common.map(ToString::to_string)) {
            refer(response, name);
        }
    }
}

fn refer(response: &mut Response, name: String) {
    let reference = utoipa::openapi::Ref::new(format!("#/components/headers/{name}"));
    response.headers.insert(name, RefOr::Ref(reference));
}
