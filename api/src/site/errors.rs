//! What was wrong with a form, in the language of the visitor.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use shared::{Error, base::error::FieldError};

use super::{i18n::Language, rules};
use crate::http::problem::Problem;

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
    let (short, lang) = match rules::text(language, &error.message) {
        Some(short) => (short, language.tag()),
        None => (sentence(&error.message), Language::English.tag()),
    };
    let text = label.map_or_else(|| sentence(&error.to_string()), |label| format!("{label}: {short}"));
    (name.clone(), context! { name, text, short, lang })
}

/// Messages of the API begin in lower case and have no full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// The errors of a form: those of its fields, by name, and those of the form as a whole.
pub(crate) fn errors(language: Language, error: &Error) -> Value {
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
    fn messages_become_sentences() {
        assert_eq!(sentence("email is missing"), "Email is missing.");
        assert_eq!(sentence(""), ".");
    }
}
