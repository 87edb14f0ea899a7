//! Mail templates: embedded in the binary, and strict about missing values.

use std::sync::Arc;

use anyhow::Context;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter, syntax::SyntaxConfig};

use crate::base::error::Result;

/// Embeds the three parts of each mail, and what they share.
macro_rules! emails {
    ($($name:literal),+) => {
        /// The names of all mails.
        pub const NAMES: &[&str] = &[$($name),+];

        const SOURCES: &[(&str, &str)] = &[
            ("base.html", include_str!("../../../templates/emails/base.html")),
            ("parts.html", include_str!("../../../templates/emails/parts.html")),
            ("monthly_report/report.html", include_str!("../../../templates/emails/monthly_report/report.html")),
            ("monthly_report/page.html", include_str!("../../../templates/emails/monthly_report/page.html")),
            $(
                (
                    concat!($name, "/subject.txt"),
                    include_str!(concat!("../../../templates/emails/", $name, "/subject.txt")),
                ),
                (
                    concat!($name, "/body.txt"),
                    include_str!(concat!("../../../templates/emails/", $name, "/body.txt")),
                ),
                (
                    concat!($name, "/body.html"),
                    include_str!(concat!("../../../templates/emails/", $name, "/body.html")),
                ),
            )+
        ];
    };
}

emails![
    "confirmation",
    "receipt",
    "export_ready",
    "welcome",
    "verify_email",
    "password_reset",
    "password_changed",
    "guessing",
    "address_changed",
    "reminder",
    "monthly_report",
    "notice",
    "spot_changed"
];

/// The parsed templates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Templates(Arc<Environment<'static>>);

/// A rendered mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

impl Templates {
    /// Parses every template.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for one that is malformed.
    pub fn new() -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.context("template syntax")?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        // A value stays on one line, so that a name cannot forge a paragraph.
        environment.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if !value.is_safe() && text.contains(char::is_control) => {
                escape_formatter(out, state, &Value::from(one_line(text)))
            }
            _ => escape_formatter(out, state, value),
        });
        for (name, source) in SOURCES {
            environment.add_template(name, source).with_context(|| format!("template {name}"))?;
        }
        Ok(Self(Arc::new(environment)))
    }

    /// Renders the mail called `name` with values from `minijinja::context!`.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for an unknown mail or a missing value.
    pub fn render(&self, name: &str, values: impl Into<Value>) -> Result<Rendered> {
        let values = values.into();
        let part = |part: &str| self.part(name, part, &values);
        Ok(Rendered {
            subject: one_line(&part("subject.txt")?),
            text: part("body.txt")?,
            html: part("body.html")?,
        })
    }

    /// Renders the page that is attached to a mail.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub fn page(&self, name: &str, values: impl Into<Value>) -> Result<String> {
        self.part(name, "page.html", &values.into())
    }

    fn part(&self, name: &str, part: &str, values: &Value) -> Result<String> {
        let name = format!("{name}/{part}");
        let rendered = self.0.get_template(&name).and_then(|template| template.render(values));
        Ok(rendered.with_context(|| format!("template {name}"))?)
    }
}

/// The text without line breaks and other control characters, which could end headers and forge paragraphs.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn a_receipt_omits_missing_payment_data() {
        let values = context! {
            name => "Ann", lot => "Centre", address => "Main Street 1", is_unpaid => false, is_waived => false, is_refunded => false,
            payment_method => None::<String>,
            transaction_id => None::<String>, web_url => "http://localhost", unsubscribe_url => (), vehicle => (), reservation_id => 7, spot => 12,
            charged => [["Charged", "1 hour at ₹25.50 an hour"]], arrived => "now", left => "then", hours => 1, total => "₹25.50",
        };
        let mail = Templates::new().unwrap().render("receipt", values).unwrap();
        assert!(!mail.text.contains("Paid by") && !mail.html.contains("Transaction"));
        assert!(mail.text.contains("1 hour at"));
    }

    #[test]
    fn missing_values_and_unknown_mails_are_errors() {
        let templates = Templates::new().unwrap();
        assert!(templates.render("welcome", context! { name => "Ann" }).is_err());
        assert!(templates.render("no-such", context! {}).is_err());
    }
}
