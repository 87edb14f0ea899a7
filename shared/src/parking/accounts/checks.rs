//! The rules for what users tell about themselves.

use super::{Registration, Role, key};
use crate::base::error::{Error, FieldError, Result};

/// A registration that follows the rules.
pub(super) struct Account {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) role: Role,
    pub(super) vehicle_number: Option<String>,
    pub(super) phone_number: Option<String>,
}

impl Account {
    pub(super) fn checked(registration: Registration, role: Option<&str>) -> Result<Self> {
        let mut checks = Checks::default();
        let account = Self {
            username: checks.username(&registration.username),
            email: checks.email(&registration.email),
            password: checks.password(registration.password),
            role: role.map_or(Role::User, |role| checks.role(role)),
            vehicle_number: checks.vehicle_number(registration.vehicle_number.as_deref()),
            phone_number: checks.phone_number(registration.phone_number.as_deref()),
        };
        checks.passed(account)
    }
}

/// Brings fields into the form in which they are kept, and remembers those that are wrong.
#[derive(Default)]
pub(super) struct Checks(Vec<FieldError>);

impl Checks {
    pub(super) fn username(&mut self, text: &str) -> String {
        let username = text.trim().to_owned();
        self.note("/username", text_problem(&username, 80));
        username
    }

    pub(super) fn email(&mut self, text: &str) -> String {
        let email = key(text);
        self.note("/email", email_problem(&email));
        email
    }

    pub(super) fn password(&mut self, password: String) -> String {
        self.note("/password", password_problem(&password));
        password
    }

    pub(super) fn role(&mut self, text: &str) -> Role {
        let role = Role::named(text);
        self.note("/role", role.is_none().then_some("must be user or admin"));
        role.unwrap_or(Role::User)
    }

    pub(super) fn vehicle_number(&mut self, text: Option<&str>) -> Option<String> {
        self.optional("/vehicle_number", text)
    }

    pub(super) fn phone_number(&mut self, text: Option<&str>) -> Option<String> {
        self.optional("/phone_number", text)
    }

    /// Blank is none.
    fn optional(&mut self, pointer: &str, text: Option<&str>) -> Option<String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        self.note(pointer, text_problem(text, 20));
        Some(text.to_owned())
    }

    fn note(&mut self, pointer: &str, problem: Option<&str>) {
        self.0.extend(problem.map(|message| FieldError { pointer: pointer.into(), message: message.into() }));
    }

    /// The value, unless something of it is wrong.
    pub(super) fn passed<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Invalid(self.0)) }
    }
}

/// What is wrong with a text of 1 to `most` characters.
#[must_use]
pub fn text_problem(text: &str, most: usize) -> Option<&'static str> {
    let length = text.chars().count();
    if length == 0 {
        Some("must not be empty")
    } else if length > most {
        Some(match most {
            20 => "must have at most 20 characters",
            50 => "must have at most 50 characters",
            80 => "must have at most 80 characters",
            _ => "is too long",
        })
    } else if text.contains('\0') {
        Some("must not hold a NUL character")
    } else {
        None
    }
}

fn email_problem(email: &str) -> Option<&'static str> {
    let valid = email.len() <= 120 && email.parse::<lettre::Address>().is_ok();
    (!valid).then_some("must be a mail address of at most 120 bytes")
}

fn password_problem(password: &str) -> Option<&'static str> {
    let fits = (8..=256).contains(&password.chars().count());
    (!fits).then_some("must have 8 to 256 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = Registration {
            username: " ".into(),
            email: "nobody".into(),
            password: "short".into(),
            vehicle_number: Some("x".repeat(21)),
            phone_number: Some("\0".into()),
        };
        let Err(Error::Invalid(fields)) = Account::checked(wrong, Some("boss")) else {
            panic!("must be refused")
        };
        let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/username", "/email", "/password", "/role", "/vehicle_number", "/phone_number"]
        );
    }

    #[test]
    fn names_are_trimmed_addresses_lowered_and_blanks_dropped() {
        let registration = Registration {
            username: " Asha ".into(),
            email: " Asha@Example.COM ".into(),
            password: "long enough".into(),
            vehicle_number: Some("  ".into()),
            phone_number: None,
        };
        let account = Account::checked(registration, None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(account.username, "Asha");
        assert_eq!(account.email, "asha@example.com");
        assert_eq!(account.vehicle_number, None);
        assert_eq!(account.role, Role::User);
    }
}
