//! What is the same for every operation is said here once, and added to the document.

mod examples;
mod headers;

use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, Response, Schema,
    path::{Operation, Parameter, ParameterIn},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use self::examples::Examples;

/// Completes the document that the handlers wrote.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.headers = headers::components();
    let examples = Examples::new();
    examples.of_components(components);
    for (path, item) in &mut document.paths.paths {
        let is_limited = !["/api/health/live", "/api/health/ready"].contains(&path.as_str());
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
        {
            leave_out_null_bodies(operation);
            add_common_statuses(operation, is_limited);
            give_problems_their_body(operation);
            headers::name(operation, is_limited);
            examples.of_operation(operation, &components.schemas);
        }
    }
    document
}

fn has_parameter(operation: &Operation, name: &str, place: ParameterIn) -> bool {
    let is = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == name && parameter.parameter_in == place);
    operation.parameters.iter().flatten().any(is)
}

/// A body that may be missing is an object where it is there.
fn leave_out_null_bodies(operation: &mut Operation) {
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

/// Statuses that come from the extractors and from what is around every handler.
fn add_common_statuses(operation: &mut Operation, is_limited: bool) {
    let scopes: Vec<String> = (operation.security.iter().flatten())
        .filter_map(|requirement| serde_json::to_value(requirement).ok())
        .filter_map(|requirement| serde_json::from_value(requirement["bearer"].clone()).ok())
        .flat_map(|scopes: Vec<String>| scopes)
        .collect();
    let in_query = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query);
    let reads_query = operation.parameters.iter().flatten().any(in_query);
    let is_cached = has_parameter(operation, "If-None-Match", ParameterIn::Header);
    let is_once = has_parameter(operation, "Idempotency-Key", ParameterIn::Header);
    let common = [
        (is_cached, "304", "What the client has is what there is; nothing is sent"),
        (is_once, "409", "A request with this `Idempotency-Key` is being answered"),
        (is_once, "422", "This `Idempotency-Key` was used for another request"),
        (is_limited, "429", "Too many requests; wait as long as `Retry-After` says"),
        (true, "503", "The database is away, or there is too much to do"),
        (operation.security.is_some(), "401", "No token, or one that is not good any more"),
        (scopes.iter().any(|scope| scope == "admin"), "403", "Not an administrator"),
        (
            operation.request_body.is_some() || reads_query || is_once,
            "400",
            "The request is malformed, or a field is wrong",
        ),
        (operation.request_body.is_some(), "408", "The body took too long to come"),
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

fn give_problems_their_body(operation: &mut Operation) {
    let responses = operation.responses.responses.iter_mut();
    for (_, response) in responses.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response
            && response.content.is_empty()
        {
            let body = Content::new(Some(Ref::from_schema_name("ProblemBody")));
            response.content.insert("application/problem+json".to_owned(), RefOr::T(body));
        }
    }
}
