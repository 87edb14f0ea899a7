//! What a person typed into a form.

use std::{collections::BTreeMap, convert::Infallible};

use axum::{extract::FromRequestParts, http::request::Parts};
use minijinja::Value;
use shared::Error;

use crate::http::body;

/// The fields of a form by name. Blanks around values are removed, except around passwords.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The text of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The text as it was typed.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The text of a field that may stay empty.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    /// The number in a field that offers some; `None` without it.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// Whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Result<i64, Error> {
        self.text(name).parse().map_err(|_| Error::invalid(format!("/{name}"), "must be a whole number"))
    }

    /// What was typed, for showing the form again. Passwords stay here.
    pub(super) fn values(&self) -> Value {
        let shown = self.0.iter().filter(|(name, _)| !name.contains("password") && *name != "csrf");
        Value::from_pairs(shown.map(|(name, text)| (name.as_str(), text.as_str())))
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(body::bytes(parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_passwords_are_not_shown_again() {
        let form = Form::parse(b"email=+a%40b.example+&password=+x+&csrf=1&n=7&box=on");
        assert_eq!((form.text("email"), form.raw("password")), ("a@b.example", " x "));
        assert_eq!((form.integer("n").unwrap(), form.optional("other")), (7, None));
        assert!(form.is_ticked("box") && form.integer("email").is_err());
        let shown = form.values();
        assert_eq!(shown.get_attr("email").unwrap().as_str(), Some(" a@b.example "));
        assert!(shown.get_attr("password").unwrap().is_undefined());
        assert!(shown.get_attr("csrf").unwrap().is_undefined());
    }
}
