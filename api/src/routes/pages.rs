//! What is not in the OpenAPI document: a greeting, the OpenAPI document and its viewer.

use axum::{
    Json, Router,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Serialize;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

use crate::http::page;

/// The viewer is the only page with scripts: its own.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

pub(crate) fn routes(document: OpenApi) -> Router {
    let policy =
        SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    let viewer = Router::new().merge(SwaggerUi::new("/docs").url("/openapi.json", document));
    viewer.route_layer(policy).route("/", get(greet)).route("/api", get(greet))
}

/// For programs and developers.
#[derive(Serialize)]
struct Greeting {
    msg: &'static str,
    status: &'static str,
    name: &'static str,
    version: &'static str,
    docs: &'static str,
    openapi: &'static str,
}

/// At `/` and `/api`. Mails link here unless `WEB_URL` is set, so browsers go on to the pages.
async fn greet(headers: HeaderMap) -> Response {
    if page::is_wanted(&headers) {
        return ([(header::VARY, "accept")], Redirect::to("/ui")).into_response();
    }
    Json(Greeting {
        msg: "Parkade is running; the API is under /api, its documentation at /docs",
        status: "ok",
        name: "Parkade",
        version: env!("CARGO_PKG_VERSION"),
        docs: "/docs",
        openapi: "/openapi.json",
    })
    .into_response()
}
