//! The templates, once for each language.

use std::sync::LazyLock;

use anyhow::Context;
use fluent_bundle::FluentArgs;
use minijinja::{
    AutoEscape, Environment, Error, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Kwargs,
};
use shared::{Result, base::money::Money};

use super::{format, i18n::Language, sources::SOURCES};

static ENVIRONMENTS: LazyLock<[Environment<'static>; 3]> = LazyLock::new(|| Language::ALL.map(environment));

/// Renders a template.
///
/// # Errors
/// [`shared::Error::Internal`] for a missing value.
pub(crate) fn render(language: Language, name: &str, values: Value) -> Result<String> {
    let template = ENVIRONMENTS[language as usize].get_template(name);
    let rendered = template.and_then(|template| template.render(values));
    Ok(rendered.with_context(|| format!("page {name}"))?)
}

fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .add_function("t", move |key: String, arguments: Kwargs| translate(language, &key, &arguments));
    environment.add_filter("money", move |minor: i64| format::money(language, Money::from_minor(minor)));
    environment.add_filter("number", move |number: i64| format::number(language, number));
    environment.add_filter("decimal", move |number: f64| format::decimal(language, number));
    environment.add_filter("urlencode", |text: String| {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
    });
    for (name, source) in SOURCES {
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(name, %error, "the template is malformed");
        }
    }
    environment
}

/// The text of a key in the catalogue. Numbers choose the plural.
fn translate(language: Language, key: &str, given: &Kwargs) -> Result<String, Error> {
    let mut arguments = FluentArgs::new();
    for name in given.args() {
        let value: Value = given.get(name)?;
        match i64::try_from(value.clone()) {
            Ok(number) if value.is_number() => arguments.set(name.to_owned(), number),
            _ => arguments.set(name.to_owned(), value.to_string()),
        }
    }
    Ok(language.text(key, Some(&arguments)))
}
