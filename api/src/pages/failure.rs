//! Errors as pages, also those from before a handler runs: not logged in, not allowed, too many requests.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use minijinja::context;
use shared::app::App;

use super::visitor::may_return;
use crate::{
    http::{cookies::Cookie, page, problem::Problem, request_id::REQUEST_ID},
    site::{self, frame, i18n::Language, protect},
};

/// Gives the error of a page its own page. Whoever has no session goes to the login.
pub(super) async fn complete(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/ui" && !path.starts_with("/ui/") {
        return next.run(request).await;
    }
    let language = Language::of(request.headers(), &app.config);
    let back = may_return(request.method(), request.uri());
    let response = next.run(request).await;
    let status = response.status();
    let is_page = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == page::KIND);
    if is_page || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if status == StatusCode::UNAUTHORIZED {
        return to_login(&app, response, back.as_deref());
    }
    page_of(language, response)
}

fn page_of(language: Language, mut response: Response) -> Response {
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| Problem::of_status(response.status()));
    let retry_after = problem.retry_after();
    let (status, code, detail) = problem.parts();
    let request_id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let site = context! { csrf => "", here => "/ui", done => (), path => "", logged_in => false, admin => false, staff => false, ..frame(language) };
    let values = context! {
        site, errors => (), back => "", code, status => status.as_u16(), request_id, retry_after, fallback => detail,
        detail => language.find(&format!("error-{}", code.replace('_', "-"))),
    };
    let html = site::render(language, "error.html", values).unwrap_or_else(|error| {
        tracing::error!(error = error.chain(), "the page for errors cannot be shown");
        String::from("<!doctype html><title>Parkade</title><p>Something went wrong.")
    });
    *response.body_mut() = Body::from(html);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page::KIND));
    headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    protect(headers);
    response
}

fn to_login(app: &App, mut response: Response, back: Option<&str>) -> Response {
    let query = back.filter(|back| *back != "/ui").map_or_else(String::new, |back| {
        let mut query = url::form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        query.append_pair("next", back).finish()
    });
    response.extensions_mut().remove::<Problem>();
    *response.status_mut() = StatusCode::SEE_OTHER;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers
        .extend(HeaderValue::try_from(format!("/ui/login{query}")).map(|target| (header::LOCATION, target)));
    headers.extend(Cookie::Session.remove(&app.config).map(|line| (header::SET_COOKIE, line)));
    response
}
