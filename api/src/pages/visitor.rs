//! The visitor of a page: language, session, and what forms are bound to. Every request for a page passes [`enter`].

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use shared::{Error, Result, app::App, base::identity::Identity, parking::accounts::session};
use uuid::Uuid;

use super::{csrf::Binding, form::Form};
use crate::{
    http::{
        body,
        cookies::Cookie,
        problem::{Answer, Problem},
    },
    site::{self, format, frame, i18n::Language, protect},
};

/// The visitor of a page. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Visitor(Arc<Parties>);

#[derive(Debug)]
struct Parties {
    app: App,
    language: Language,
    identity: Option<Identity>,
    binding: Binding,
    uri: Uri,
    /// Whether the address can be opened again.
    is_read: bool,
}

/// Recognises the visitor, refuses forms of other sites, and adds the headers of pages.
pub(super) async fn enter(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = match Visitor::recognised(&app, &parts).await {
        Ok(visitor) => visitor,
        Err(error) => return Problem::from(error).into_response(),
    };
    if !parts.method.is_safe()
        && let Err(problem) = visitor.must_have_sent(&parts)
    {
        return problem.into_response();
    }
    parts.extensions.insert(visitor.clone());
    let is_new = Cookie::Visitor.read(&parts.headers, &app.config).is_none();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let headers = response.headers_mut();
    if let Binding::Visitor(value) = &visitor.0.binding
        && is_new
    {
        headers.extend(Cookie::Visitor.set(&app.config, value).map(|line| (header::SET_COOKIE, line)));
    }
    protect(headers);
    response
}

impl Visitor {
    async fn recognised(app: &App, parts: &Parts) -> Result<Self> {
        let headers = &parts.headers;
        let identity = match parts.extensions.get::<Identity>() {
            Some(identity) => Some(*identity),
            None => identified(app, headers).await?,
        };
        let binding = match identity {
            Some(identity) => Binding::Session(identity.session_id),
            None => Binding::Visitor(
                Cookie::Visitor
                    .read(headers, &app.config)
                    .map_or_else(|| Uuid::new_v4().simple().to_string(), ToOwned::to_owned),
            ),
        };
        Ok(Self(Arc::new(Parties {
            app: app.clone(),
            language: Language::of(headers, &app.config),
            identity,
            binding,
            uri: parts.uri.clone(),
            is_read: parts.method.is_safe(),
        })))
    }

    /// Fails unless the form was shown to this visitor.
    fn must_have_sent(&self, parts: &Parts) -> Answer<()> {
        let form = Form::parse(body::bytes(parts));
        if self.0.binding.accepts(&self.0.app, form.raw("csrf"))? {
            return Ok(());
        }
        let detail = "this form has expired; open the page again and repeat what you did";
        Err(Problem::new(StatusCode::FORBIDDEN, "expired_form", detail))
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.0.identity
    }

    pub(super) fn language(&self) -> Language {
        self.0.language
    }

    /// The user of a page that only logged-in users see.
    pub(super) fn user(&self) -> Result<Identity> {
        self.0.identity.ok_or(Error::Unauthenticated("log in"))
    }

    /// An instant in the zone of the installation.
    pub(super) fn instant(&self, instant: DateTime<Utc>) -> String {
        format::instant(self.0.language, self.0.app.config.zone, instant)
    }

    /// An instant of today as a time, any other one in full.
    pub(super) fn moment(&self, instant: DateTime<Utc>) -> String {
        let (zone, now) = (self.0.app.config.zone, self.0.app.clock.now());
        format::moment(self.0.language, zone, instant, now)
    }

    /// An instant as a field for a time has it.
    pub(super) fn for_input(&self, instant: DateTime<Utc>) -> String {
        format::for_input(self.0.app.config.zone, instant)
    }

    /// A page.
    pub(super) fn page(&self, template: &str, values: Value) -> Answer<Response> {
        self.page_with(StatusCode::OK, template, values)
    }

    /// A form again, with what was typed and what is wrong with it. Errors that nobody can correct are passed on.
    pub(super) fn rejected(
        &self,
        template: &str,
        error: Error,
        form: &Form,
        values: Value,
    ) -> Answer<Response> {
        if matches!(
            error,
            Error::NotFound(_) | Error::Unavailable(_) | Error::Internal(_) | Error::Unauthenticated(_)
        ) {
            return Err(error.into());
        }
        let errors = site::errors(self.0.language, &error);
        let (status, ..) = Problem::from(error).parts();
        let typed = context! { values => form.values() };
        let values = context! { errors, ..context! { ..values, ..typed } };
        self.page_with(status, template, values)
    }

    fn page_with(&self, status: StatusCode, template: &str, values: Value) -> Answer<Response> {
        let blank = context! { errors => (), values => context! {}, prefix => "", section => "", back => "" };
        let values = context! { site => self.shared()?, ..context! { ..values, ..blank } };
        let html = site::render(self.0.language, template, values)?;
        Ok((status, Html(html)).into_response())
    }

    /// What every page shows.
    fn shared(&self) -> Result<Value> {
        let Parties { app, language, identity, binding, uri, is_read } = &*self.0;
        let here = uri.path_and_query().filter(|_| *is_read).map_or("/ui", |path| path.as_str());
        let done = query(uri, "done").and_then(|key| language.find(&format!("done-{key}")));
        Ok(context! {
            csrf => binding.token(app)?, here, done, path => uri.path(),
            logged_in => identity.is_some(), admin => identity.is_some_and(|identity| identity.is_admin),
            staff => identity.is_some_and(|identity| identity.is_admin || identity.is_attendant),
            ..frame(*language),
        })
    }
}

/// The first value of a parameter.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The user of the session cookie, if the session is open.
async fn identified(app: &App, headers: &HeaderMap) -> Result<Option<Identity>> {
    let Some(token) = Cookie::Session.read(headers, &app.config) else { return Ok(None) };
    match session::authenticate(app, token).await {
        Ok(identity) => Ok(Some(identity)),
        Err(Error::Unauthenticated(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into())
    }
}

/// The page on which a logged-in user starts.
pub(super) const fn home(identity: &Identity) -> &'static str {
    match identity {
        Identity { is_admin: true, .. } => "/ui/admin",
        Identity { is_attendant: true, .. } => "/ui/work",
        _ => "/ui/parking",
    }
}

/// Sends the browser on after a form.
pub(super) fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// The page to which a login or a change of the language returns. Only pages of ours, so that no link leads elsewhere.
pub(super) fn local(next: &str) -> &str {
    let rest = next.strip_prefix("/ui").unwrap_or("?");
    let is_ours = next.starts_with("/ui") && (rest.is_empty() || rest.starts_with(['/', '?']));
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') && !rest.contains("//");
    if is_ours && is_plain && !rest.contains("..") { next } else { "/ui" }
}

/// Whether a page may be shown again after a login.
pub(super) fn may_return(method: &Method, uri: &Uri) -> Option<String> {
    (*method == Method::GET).then(|| uri.path_and_query().map(|path| path.as_str().to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_returned_to() {
        for next in ["/ui", "/ui/lots/7?from=2026-11-20T12:00&to=", "/ui?x=1", "/ui/admin/lots"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "/ui//evil.example",
            "/uix",
            "/ui@evil.example",
            "/ui/\\evil",
            "/ui/../api",
            "\\\\evil.example",
            "/ui\r\nLocation: x",
            "javascript:alert(1)",
            " /ui",
        ] {
            assert_eq!(local(next), "/ui", "{next:?}");
        }
    }
}
