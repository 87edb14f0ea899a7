//! What is the same for every operation, added to the OpenAPI document once.

mod examples;
mod headers;
mod parameters;
mod references;
pub(crate) mod schemas;

use axum::http::Method;
use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, Response, Schema,
    path::{Operation, Parameter, ParameterIn},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use self::{examples::Examples, parameters::has_parameter};
use crate::http::policy::{self, Access, Policy};

/// Completes the document that the handlers describe.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.headers = headers::components();
    references::add(components);
    let examples = Examples::new();
    examples.add_to_components(components);
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let policy = policy::find(&method, path);
            remove_null_bodies(operation);
            add_security(operation, policy.access);
            add_description(operation, policy);
            add_common_responses(operation, policy);
            add_problem_bodies(operation);
            headers::add(operation, policy.rate_limit.is_some());
            examples.add_to_operation(operation, &components.schemas);
        }
    }
    document
}

/// A body may be missing, but not null.
fn remove_null_bodies(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
            && let Some(object) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            content.schema = Some(object.clone());
        }
    }
}

fn add_security(operation: &mut Operation, access: Access) {
    operation.security = Some(match access {
        Access::Anonymous | Access::Public => Vec::new(),
        // Roles are in the description, because linters take scopes for those of OAuth.
        Access::User | Access::Attendant | Access::Admin => vec![SecurityRequirement::new("bearer", [""; 0])],
    });
}

/// Says who may call the operation, and which rate limit counts the call.
fn add_description(operation: &mut Operation, policy: Policy) {
    let callers = match policy.access {
        Access::Anonymous | Access::Public => "Open to everyone; no login needed.",
        Access::User => "For logged-in users.",
        Access::Attendant => "For attendants, at the lots assigned to them, and administrators.",
        Access::Admin => "For administrators.",
    };
    let limit = policy.rate_limit.map_or_else(
        || "Not rate-limited.".to_owned(),
        |action| format!("Counted by the rate limit `{}`.", action.name()),
    );
    let rules = format!("{callers} {limit}");
    operation.description = Some(match operation.description.take() {
        Some(own) if !own.is_empty() => format!("{own}\n\n{rules}"),
        _ => rules,
    });
}

/// Responses that come from the extractors and the layers around every handler.
fn add_common_responses(operation: &mut Operation, policy: Policy) {
    let in_query = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query);
    let reads_query = operation.parameters.iter().flatten().any(in_query);
    let is_cached = has_parameter(operation, "If-None-Match", ParameterIn::Header);
    let is_once = has_parameter(operation, "Idempotency-Key", ParameterIn::Header);
    let common = [
        (is_cached, "304", "The client has the current answer"),
        (is_once, "409", "Another request with this `Idempotency-Key` is in progress"),
        (is_once, "422", "This `Idempotency-Key` was used for a different request"),
        (policy.rate_limit.is_some(), "429", "Too many requests; wait for `Retry-After` seconds"),
        (true, "414", "Path and query are longer than 8 KiB"),
        (true, "503", "The database is not available, or the server is at capacity"),
        (
            matches!(policy.access, Access::User | Access::Attendant | Access::Admin),
            "401",
            "The token is missing or invalid, or its session has ended",
        ),
        (policy.access == Access::Admin, "403", "You are not an administrator"),
        (policy.access == Access::Attendant, "403", "You are neither an attendant nor an administrator"),
        (
            operation.request_body.is_some() || reads_query || is_once,
            "400",
            "The request is malformed, or a field is invalid",
        ),
        (operation.request_body.is_some(), "408", "The body took too long to arrive"),
        (operation.request_body.is_some(), "413", "The body is larger than 64 KiB"),
        (operation.request_body.is_some(), "415", "The body is not `application/json`"),
    ];
    for (applies, status, description) in common {
        if applies {
            let response = || RefOr::T(Response::new(description));
            operation.responses.responses.entry(status.to_owned()).or_insert_with(response);
        }
    }
}

fn add_problem_bodies(operation: &mut Operation) {
    let responses = operation.responses.responses.iter_mut();
    for (_, response) in responses.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            let body = Content::new(Some(Ref::from_schema_name("ProblemBody")));
            response.content.entry("application/problem+json".to_owned()).or_insert(RefOr::T(body));
        }
    }
}
