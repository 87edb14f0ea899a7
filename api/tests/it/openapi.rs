//! The OpenAPI document, as it is checked in under `docs/`.

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
#[expect(clippy::disallowed_methods, reason = "this is told by whoever runs the tests, it is no setting")]
fn the_document_in_the_repository_is_the_one_that_the_code_describes() {
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
fn every_operation_says_what_it_is_and_what_it_answers() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() >= 20, "{} operations", operations.len());
    for (name, operation) in operations {
        assert!(name.contains(" /api/"), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tag");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            let problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(problem, !status.starts_with('2'), "{name} {status}");
        }
        let secured = operation.get("security").is_some();
        assert_eq!(secured, responses.contains_key("401") && !name.ends_with("/auth/login"), "{name}");
        if operation.get("requestBody").is_some() {
            assert!(responses.contains_key("400"), "{name} takes a body and never refuses one");
        }
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            assert!(parameter["description"].is_string(), "{name} {parameter}");
        }
    }
}

#[test]
fn every_schema_that_is_named_is_there() {
    let document = document();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}
