//! What a person typed into a form, and what was wrong with it.

use std::{collections::BTreeMap, convert::Infallible};

use axum::{extract::FromRequestParts, http::request::Parts};
use minijinja::{Value, context};
use shared::{Error, base::error::FieldError};

use super::i18n::Language;
use crate::http::{body, problem::Problem};

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

/// A message about a form, in the language of the visitor where the catalogue has one.
fn message(language: Language, code: &str, detail: &str) -> Value {
    let key = format!("error-{}", code.replace('_', "-"));
    let href = (code == "second_factor_required").then_some("/ui/confirm");
    match language.find(&key) {
        Some(text) => context! { text, href, lang => language.tag() },
        None => context! { text => sentence(detail), lang => Language::English.tag() },
    }
}

fn field_message(language: Language, error: &FieldError) -> (String, Value) {
    let name = error.pointer.trim_start_matches('/').to_owned();
    let label = language.find(&format!("field-{}", name.replace('_', "-")));
    let text = match &label {
        Some(label) => format!("{label}: {}", error.message),
        None => sentence(&error.to_string()),
    };
    (
        name.clone(),
        context! { name, text, short => sentence(&error.message), lang => Language::English.tag() },
    )
}

/// Messages of the API begin in lower case and have no full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// The errors of a form: those of its fields, by name, and those of the form as a whole.
pub(super) fn errors(language: Language, error: &Error) -> Value {
    match error {
        Error::Invalid(fields) => {
            let fields: Vec<(String, Value)> =
                fields.iter().map(|field| field_message(language, field)).collect();
            let list: Vec<Value> = fields.iter().map(|(_, error)| error.clone()).collect();
            context! { list, fields => fields.into_iter().collect::<BTreeMap<_, _>>() }
        }
        other => {
            let (_, code, detail) = Problem::from(other.duplicate()).parts();
            let list = vec![message(language, code, &detail)];
            context! { list, fields => BTreeMap::<String, Value>::new() }
        }
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

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence("email is missing"), "Email is missing.");
        assert_eq!(sentence(""), ".");
    }
}
