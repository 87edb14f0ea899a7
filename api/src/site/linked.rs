//! The pages that links in mails open: a question with a button, or what was done.

use axum::{http::StatusCode, response::Response};
use minijinja::{Value, context};
use shared::Error;

use super::{Stranger, errors};
use crate::http::problem::{Answer, Problem};

/// The form of such a page. Its keys are those of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) button: &'a str,
    /// A path without the query, so that the token is in one log entry less.
    pub(crate) action: &'a str,
    /// The token of the link.
    pub(crate) token: &'a str,
    /// Whether a new password is asked for.
    pub(crate) password: bool,
}

impl Question<'_> {
    fn values(&self) -> Value {
        let Self { title, text, button, action, token, password } = *self;
        context! { title, text, button, action, token, password, login => false }
    }

    pub(crate) fn page(&self, stranger: Stranger) -> Answer<Response> {
        stranger.page(StatusCode::OK, "linked.html", self.values())
    }

    /// The form again, for an error that can be corrected; else the page about the error.
    pub(crate) fn rejected(&self, stranger: Stranger, error: Error) -> Answer<Response> {
        if !matches!(error, Error::Invalid(_)) {
            return failed(stranger, error);
        }
        let values = context! { errors => errors(stranger.language(), &error), ..self.values() };
        stranger.page(StatusCode::BAD_REQUEST, "linked.html", values)
    }
}

/// What was done.
pub(crate) fn done(stranger: Stranger, title: &str, text: &str, login: bool) -> Answer<Response> {
    answered(stranger, StatusCode::OK, title, text, login)
}

/// A link that no longer works has a page; other errors are those of the API.
pub(crate) fn failed(stranger: Stranger, error: Error) -> Answer<Response> {
    match error {
        Error::Gone(_) => answered(stranger, StatusCode::GONE, "link-gone-title", "link-gone-text", false),
        error => Err(Problem::from(error)),
    }
}

fn answered(
    stranger: Stranger,
    status: StatusCode,
    title: &str,
    text: &str,
    login: bool,
) -> Answer<Response> {
    stranger.page(status, "linked.html", context! { title, text, login, button => "" })
}
