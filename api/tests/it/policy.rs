//! The table of route policies and the OpenAPI document describe the same routes.

use std::collections::BTreeMap;

use api::http::policy::{Access, Policy, ROUTES};
use serde_json::{Value, json};

/// The operations of the document, by method and path, without `/api`.
fn operations() -> BTreeMap<String, Value> {
    let document = serde_json::to_value(api::routes::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let path = path.strip_prefix("/api").unwrap().to_owned();
        let operations = item.as_object().unwrap().clone().into_iter();
        operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

fn name(policy: &Policy) -> String {
    format!("{} {}", policy.method, policy.path)
}

#[test]
fn every_operation_has_a_policy_and_every_policy_an_operation() {
    let mut policies: Vec<String> = ROUTES.iter().map(name).collect();
    policies.sort_unstable();
    let documented: Vec<String> = operations().into_keys().collect();
    assert_eq!(policies, documented);
}

#[test]
fn policy_table_matches_the_openapi_document() {
    let operations = operations();
    for policy in ROUTES {
        let (name, operation) = (name(policy), &operations[&name(policy)]);
        let (callers, security) = match policy.access {
            Access::Anonymous | Access::Public => ("Open to everyone; no login needed.", json!([])),
            Access::User => ("For logged-in users.", json!([{ "bearer": [] }])),
            Access::Attendant => (
                "For attendants, at the lots assigned to them, and administrators.",
                json!([{ "bearer": [] }]),
            ),
            Access::Admin => ("For administrators.", json!([{ "bearer": [] }])),
        };
        assert_eq!(operation["security"], security, "{name}");
        assert!(operation["description"].as_str().is_some_and(|text| text.contains(callers)), "{name}");
        let responses = &operation["responses"];
        assert_eq!(responses.get("429").is_some(), policy.rate_limit.is_some(), "{name}");
        assert_eq!(policy.writes, policy.method != "GET", "{name}");
        let is_replayable = operation["parameters"].to_string().contains("Idempotency-Key");
        assert!(policy.writes || !is_replayable, "{name}");
    }
}
