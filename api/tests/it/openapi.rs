//! The OpenAPI document, as committed under `docs/`.

use std::path::Path;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(api::routes::document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().expect("a path item").clone();
        operations
            .into_iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for developers, not a setting")]
fn committed_openapi_matches_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let described = format!("{}\n", api::routes::document().to_pretty_json().unwrap());
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &described).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == described,
        "docs/openapi.json is stale: UPDATE_DOCS=1 cargo test -p api --test it openapi"
    );
}

#[test]
fn every_operation_has_summary_and_responses() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() >= 45, "{} operations", operations.len());
    let tags: Vec<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for (name, operation) in operations {
        assert!(name.contains(" /api/"), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(&tag), "{name} has the tag {tag:?}, which is not described");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            let problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(problem, status.starts_with(['4', '5']), "{name} {status}");
        }
    }
}

const PUBLIC: [&str; 18] = [
    "post /api/auth/forgot-password",
    "post /api/auth/login",
    "get /api/auth/reset-password",
    "post /api/auth/reset-password",
    "get /api/auth/verify-email",
    "post /api/auth/verify-email",
    "post /api/auth/register",
    "get /api/health",
    "get /api/health/live",
    "get /api/health/ready",
    "get /api/health/redis",
    "get /api/parking-lots",
    "get /api/parking-lots/{id}",
    "get /api/parking-lots/{id}/available-spots",
    "get /api/parking-lots/{id}/availability",
    "get /api/privacy",
    "get /api/unsubscribe",
    "post /api/unsubscribe",
];

#[test]
fn every_possible_status_and_header_is_documented() {
    for (name, operation) in operations(&document()) {
        let responses = operation["responses"].as_object().unwrap();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let has = |parameter: &str| parameters.iter().any(|one| one["name"] == parameter);
        let in_query = parameters.iter().any(|one| one["in"] == "query");
        let body = operation.get("requestBody").is_some();
        let public = PUBLIC.contains(&name.as_str());
        assert_eq!(operation.get("security").is_none(), public, "{name}");
        let limited = !name.ends_with("/health/live") && !name.ends_with("/health/ready");
        for (status, expected) in [
            ("401", !public || name.ends_with("/auth/login")),
            ("403", responses.contains_key("403") || operation["security"][0]["bearer"][0] == "admin"),
            ("429", limited),
            ("503", true),
            ("400", body || in_query || has("Idempotency-Key")),
            ("408", body),
            ("413", body),
            ("415", body),
            ("422", has("Idempotency-Key")),
            ("304", has("If-None-Match")),
        ] {
            assert_eq!(responses.contains_key(status), expected, "{name} {status}");
        }
        for (status, response) in responses {
            let succeeds = status.starts_with('2');
            for (header, expected) in [
                ("X-Request-Id", true),
                ("X-RateLimit-Remaining", limited && (succeeds || ["304", "429"].contains(&status.as_str()))),
                (
                    "Retry-After",
                    ["429", "503"].contains(&status.as_str())
                        || (status == "202" && !name.ends_with("/auth/forgot-password"))
                        || (succeeds && name == "get /api/tasks/{task}"),
                ),
                ("Link", succeeds && has("cursor")),
                ("Idempotency-Replayed", succeeds && has("Idempotency-Key")),
                ("WWW-Authenticate", status == "401"),
            ] {
                assert_eq!(response["headers"].get(header).is_some(), expected, "{name} {status} {header}");
            }
            if has("If-None-Match") && (succeeds || status == "304") {
                assert!(response["headers"].get("ETag").is_some(), "{name} {status}");
            }
        }
    }
}

/// Collects values without an example; objects and lists of objects need none.
fn without_example(place: &str, schema: &Value, wanting: &mut Vec<String>) {
    let has = |keys: &[&str]| keys.iter().any(|key| schema.get(key).is_some());
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        without_example(&format!("{place}.{name}"), property, wanting);
    }
    for part in ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| schema[*key].as_array()).flatten() {
        without_example(place, part, wanting);
    }
    if let Some(items) = schema.get("items") {
        without_example(place, items, wanting);
    }
    let primitive =
        schema.get("type").is_some_and(|kind| kind != "object" && kind != "array" && kind != "null");
    if primitive && !has(&["examples", "enum", "const"]) {
        wanting.push(place.to_owned());
    }
}

#[test]
fn every_value_has_an_example() {
    let document = document();
    let mut wanting = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        without_example(name, schema, &mut wanting);
    }
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name} {parameter}");
            without_example(&format!("{name} {}", parameter["name"]), &parameter["schema"], &mut wanting);
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(body["content"]["application/json"]["example"].is_object(), "{name}");
        }
    }
    assert!(wanting.is_empty(), "without an example: {wanting:#?}");
}

#[test]
fn every_referenced_schema_exists() {
    let document = document();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    let headers = document["components"]["headers"].as_object().expect("headers");
    for reference in text.split("\"#/components/headers/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(headers.contains_key(name), "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}
