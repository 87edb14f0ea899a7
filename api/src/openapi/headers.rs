//! Headers of answers: described once, below `components`, and named by every response that has them.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::{
    Header, HeaderBuilder, ObjectBuilder, RefOr, Response, Type,
    path::{Operation, ParameterIn},
};

use super::has_parameter;

/// Name, what it says, and an example.
const TEXTS: [(&str, &str, &str); 11] = [
    (
        "X-Request-Id",
        "The id of the request: the one that it came with, or a new one",
        "0190a0a0-0000-7000-8000-000000000000",
    ),
    (
        "Traceparent",
        "The trace (W3C Trace Context): the one that the request came with, or a new one; logs and jobs carry it",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("RateLimit-Policy", "The budget: calls (`q`) in seconds (`w`)", "\"default\";q=300;w=60"),
    ("RateLimit", "What is left of it (`r`) for so many seconds (`t`)", "\"default\";r=299;t=42"),
    ("ETag", "The state of what is shown, for `If-None-Match` and `If-Match`", "\"7-3\""),
    (
        "Link",
        "The next part of the list, if there is one",
        "</api/parking-lots?limit=50&cursor=57>; rel=\"next\"",
    ),
    (
        "Location",
        "Where it is, or where to follow the task",
        "/api/tasks/0190a0a0-0000-7000-8000-000000000000",
    ),
    (
        "Idempotency-Replayed",
        "`true` when this is the answer to an earlier request with the same key",
        "true",
    ),
    ("WWW-Authenticate", "`Bearer`", "Bearer"),
    ("Content-Disposition", "The name of the file", "attachment; filename=\"parking.csv\""),
    ("Content-Range", "Which bytes of the file these are, or how many it has", "bytes 0-99/2048"),
];

const NUMBERS: [(&str, &str, i64); 4] = [
    ("X-RateLimit-Limit", "Calls of the budget", 300),
    ("X-RateLimit-Remaining", "Calls that are left of it", 299),
    ("X-RateLimit-Reset", "Seconds until it is full again", 42),
    ("Retry-After", "Seconds to wait before the next try", 1),
];

const LIMITS: [&str; 5] =
    ["RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// For the components of the document.
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

/// Names the headers of every response; those that a handler wrote down are named the same way.
pub(super) fn name(operation: &mut Operation, is_limited: bool) {
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
    let there = utoipa::openapi::Ref::new(format!("#/components/headers/{name}"));
    response.headers.insert(name, RefOr::Ref(there));
}
