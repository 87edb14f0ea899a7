//! The details of an account and the rules for them. Pure.

use crate::base::error::{Error, FieldError, Result};

/// The details of a new account.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Shown to others; unique regardless of case.
    pub username: String,
    /// Used to log in; unique regardless of case.
    pub email: String,
    /// In clear text.
    pub password: String,
    /// Unique among accounts that have one.
    pub vehicle_number: Option<String>,
    /// Unique among accounts that have one.
    pub phone_number: Option<String>,
}

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A driver.
    User,
    /// An administrator.
    Admin,
}

impl Role {
    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// The form in which names and addresses are compared.
pub(super) fn normalized(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A valid registration, in the form that is stored.
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
        let mut validator = Validator::default();
        let account = Self {
            username: validator.username(&registration.username),
            email: validator.email(&registration.email),
            password: validator.password(registration.password),
            role: role.map_or(Role::User, |role| validator.role(role)),
            vehicle_number: validator.vehicle_number(registration.vehicle_number.as_deref()),
            phone_number: validator.phone_number(registration.phone_number.as_deref()),
        };
        validator.finish(account)
    }
}

/// Normalizes fields and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Validator(Vec<FieldError>);

impl Validator {
    pub(super) fn username(&mut self, text: &str) -> String {
        let username = text.trim().to_owned();
        self.note("/username", text_problem(&username, 80));
        username
    }

    pub(super) fn email(&mut self, text: &str) -> String {
        let email = normalized(text);
        let is_valid = email.len() <= 120 && email.parse::<lettre::Address>().is_ok();
        self.note("/email", (!is_valid).then(|| "must be a mail address of at most 120 bytes".to_owned()));
        email
    }

    pub(super) fn password(&mut self, password: String) -> String {
        let is_valid = (8..=256).contains(&password.chars().count());
        self.note("/password", (!is_valid).then(|| "must have 8 to 256 characters".to_owned()));
        password
    }

    pub(super) fn role(&mut self, text: &str) -> Role {
        let role = Role::named(text);
        self.note("/role", role.is_none().then(|| "must be user or admin".to_owned()));
        role.unwrap_or(Role::User)
    }

    pub(super) fn vehicle_number(&mut self, text: Option<&str>) -> Option<String> {
        self.optional("/vehicle_number", text)
    }

    pub(super) fn phone_number(&mut self, text: Option<&str>) -> Option<String> {
        self.optional("/phone_number", text)
    }

    /// A blank text counts as none.
    fn optional(&mut self, pointer: &str, text: Option<&str>) -> Option<String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        self.note(pointer, text_problem(text, 20));
        Some(text.to_owned())
    }

    fn note(&mut self, pointer: &str, problem: Option<String>) {
        self.0.extend(problem.map(|message| FieldError { pointer: pointer.into(), message }));
    }

    /// The value, unless one of its fields is invalid.
    pub(super) fn finish<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Invalid(self.0)) }
    }
}

/// What is wrong with a text of 1 to `max` characters.
fn text_problem(text: &str, max: usize) -> Option<String> {
    match text.chars().count() {
        0 => Some("must not be empty".to_owned()),
        length if length > max => Some(format!("must have at most {max} characters")),
        _ if text.contains('\0') => Some("must not contain a NUL character".to_owned()),
        _ => None,
    }
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
            panic!("must be rejected")
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
