//! The OpenAPI document, as committed under `docs/`.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(api::routes::document()).unwrap()
}

pub fn is_public(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(Vec::is_empty)
}

pub fn is_for_attendants(operation: &Value) -> bool {
    operation["description"].as_str().is_some_and(|text| text.contains("For attendants, "))
}

pub fn is_for_administrators(operation: &Value) -> bool {
    operation["description"].as_str().is_some_and(|text| text.contains("For administrators."))
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

const PUBLIC: [&str; 20] = [
    "post /api/auth/forgot-password",
    "post /api/auth/login",
    "get /api/auth/reset-password",
    "post /api/auth/reset-password",
    "get /api/auth/verify-email",
    "post /api/auth/verify-email",
    "get /api/auth/undo-email-change",
    "post /api/auth/undo-email-change",
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
        assert_eq!(is_public(&operation), public, "{name}");
        let limited = !name.ends_with("/health/live") && !name.ends_with("/health/ready");
        for (status, expected) in [
            ("401", !public || name.ends_with("/auth/login")),
            ("403", responses.contains_key("403") || is_for_administrators(&operation)),
            ("429", limited),
            ("414", true),
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

/// Every example of a value with its schema. The linters of `cargo xtask clients` check those of bodies.
fn examples(document: &Value) -> Vec<(&Value, &Value)> {
    let parts: Vec<&Value> = match document {
        Value::Array(parts) => parts.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    };
    let own = document["examples"].as_array().into_iter().flatten().map(|example| (document, example));
    own.chain(parts.into_iter().flat_map(examples)).collect()
}

fn fits(schema: &Value, example: &Value) -> bool {
    let kinds = match example {
        Value::Null => ["null", ""],
        Value::Bool(_) => ["boolean", ""],
        Value::String(_) => ["string", ""],
        Value::Number(number) if number.is_f64() => ["number", ""],
        _ => ["integer", "number"],
    };
    let has_type = kinds.iter().any(|kind| match &schema["type"] {
        Value::Array(types) => types.iter().any(|one| one == kind),
        one => one == kind,
    });
    let in_bounds = example.as_f64().is_none_or(|number| {
        schema["minimum"].as_f64().is_none_or(|least| least <= number)
            && schema["maximum"].as_f64().is_none_or(|most| number <= most)
    });
    let has_form = example.as_str().is_none_or(|text| {
        let has_format = match schema["format"].as_str() {
            Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
            Some("date") => text.parse::<chrono::NaiveDate>().is_ok(),
            Some("uuid") => text.parse::<uuid::Uuid>().is_ok(),
            _ => true,
        };
        has_format && schema["pattern"].as_str().is_none_or(|pattern| matches(pattern, text))
    });
    has_type && in_bounds && has_form
}

fn matches(pattern: &str, text: &str) -> bool {
    fancy_regex::Regex::new(pattern).unwrap().is_match(text).unwrap()
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let examples = examples(&document);
    assert!(examples.len() > 400, "{} examples", examples.len());
    for (schema, example) in examples {
        assert!(fits(schema, example), "{example} in {schema}");
    }
}

#[test]
fn the_pattern_of_times_has_exactly_the_days_that_exist() {
    let document = document();
    let from = &document["components"]["schemas"]["RequestExport"]["properties"]["from"];
    let pattern = from["pattern"].as_str().unwrap();
    let times = fancy_regex::Regex::new(pattern).unwrap();
    for year in [1971, 1972, 1999, 2000, 2023, 2024, 2096, 2099] {
        for (month, day) in (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day))) {
            let exists = chrono::NaiveDate::from_ymd_opt(year, month, day).is_some();
            let text = format!("{year}-{month:02}-{day:02}");
            assert_eq!(times.is_match(&text).unwrap(), exists, "{text}");
        }
    }
    for time in ["T18:30", "T18:30Z", "T18:30:00.123Z", "T18:30:00+05:30"] {
        assert!(times.is_match(&format!("2026-11-30{time}")).unwrap(), "{time}");
    }
}

#[test]
fn every_operation_says_who_may_call_it() {
    let document = document();
    let described = |method: &str, path: &str| {
        document["paths"][path][method]["description"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(described("get", "/api/health/live"), "Open to everyone; no login needed. Not rate-limited.");
    assert_eq!(
        described("get", "/api/export/csv/history"),
        "For logged-in users. Counted by the rate limit `default`."
    );
    assert_eq!(
        described("get", "/api/users/{id}"),
        "Users see themselves, administrators everybody.\n\nFor logged-in users. Counted by the rate limit `user_reads`."
    );
}

#[test]
fn every_schema_is_used_and_every_reference_leads_to_one() {
    let document = document();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let referenced: BTreeSet<_> = text
        .split("\"#/components/schemas/")
        .skip(1)
        .map(|reference| reference.split('"').next().unwrap())
        .collect();
    assert_eq!(referenced, schemas.keys().map(String::as_str).collect());
    let headers = document["components"]["headers"].as_object().expect("headers");
    for reference in text.split("\"#/components/headers/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(headers.contains_key(name), "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}
