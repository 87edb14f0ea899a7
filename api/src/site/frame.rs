//! The layout around a page, its headers, and pages for visitors without a session.

use std::convert::Infallible;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use minijinja::{Value, context};
use shared::app::App;

use super::{assets, i18n::Language, templates::render};
use crate::http::problem::Answer;

/// Pages load only what is compiled in.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// The headers of a page.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::VARY, HeaderValue::from_static("cookie, accept-language"));
}

/// What every page shows, also one about an error.
pub(crate) fn frame(language: Language) -> Value {
    let files = assets::all();
    let languages: Vec<Value> =
        Language::ALL.iter().map(|one| context! { tag => one.tag(), name => one.name() }).collect();
    context! {
        lang => language.tag(), languages, css => files.css.url(), js => files.js.url(), icon => files.icon.url(),
        manifest => files.manifest.url(),
    }
}

/// Whoever opens a link from a mail: a visitor whose login does not matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stranger(Language);

impl Stranger {
    /// A page, which is not to be found by search engines.
    pub(crate) fn page(self, status: StatusCode, template: &str, values: Value) -> Answer<Response> {
        let site = context! {
            csrf => "", here => "/ui", done => (), path => "", logged_in => false, admin => false, staff => false, ..frame(self.0)
        };
        let blank = context! { errors => (), values => context! {}, prefix => "", section => "", back => "" };
        let html = render(self.0, template, context! { site, ..context! { ..values, ..blank } })?;
        let mut response = (status, Html(html)).into_response();
        let headers = response.headers_mut();
        protect(headers);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-robots-tag", "noindex"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Ok(response)
    }

    pub(crate) fn language(self) -> Language {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Stranger
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Language::of(&parts.headers, &App::from_ref(state).config)))
    }
}
