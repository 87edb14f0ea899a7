//! The details of an account and the rules for them.

use spelling::Country;

use super::strength;
use crate::base::error::{Error, FieldError, Result};

/// The greatest length of a mail address in bytes.
const MAX_MAIL: usize = 120;

/// The details of a new account.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Shown to others; unique regardless of case and encoding.
    pub username: String,
    /// Used to log in; unique in every spelling.
    pub email: String,
    /// In clear text.
    pub password: String,
    /// The plate of the first vehicle; unique in every spelling.
    pub vehicle_number: Option<String>,
    /// Unique in every spelling.
    pub phone_number: Option<String>,
}

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A driver.
    User,
    /// Works at the barrier of some lots.
    Attendant,
    /// An administrator.
    Admin,
}

impl Role {
    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Attendant => "attendant",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::User, Self::Attendant, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }

    /// The columns `role` and `is_attendant`. The first does not know attendants, because the release before reads it
    /// during an upgrade.
    pub(super) const fn columns(self) -> (&'static str, bool) {
        match self {
            Self::User => ("user", false),
            Self::Attendant => ("user", true),
            Self::Admin => ("admin", false),
        }
    }
}

/// A valid registration, in the form that is stored.
pub(super) struct Account {
    pub(super) username: String,
    pub(super) email: String,
    /// False for those who register themselves.
    pub(super) email_verified: bool,
    pub(super) password: String,
    pub(super) role: Role,
    pub(super) vehicle_number: Option<String>,
    pub(super) phone_number: Option<String>,
}

impl Account {
    /// `country` is that of phone numbers without a country code.
    pub(super) async fn checked(
        registration: Registration,
        role: Option<&str>,
        country: Country,
    ) -> Result<Self> {
        let mut validator = Validator::new(country);
        let account = Self {
            username: validator.username(&registration.username),
            email: validator.email(&registration.email),
            email_verified: true,
            password: validator.password(&registration.password),
            role: role.map_or(Role::User, |role| validator.role(role)),
            vehicle_number: validator.vehicle_number(registration.vehicle_number.as_deref()),
            phone_number: validator.phone_number(registration.phone_number.as_deref()),
        };
        let texts = [Some(&account.username), Some(&account.email)];
        let about = texts.into_iter().chain([account.vehicle_number.as_ref(), account.phone_number.as_ref()]);
        let about: Vec<&str> = about.flatten().map(String::as_str).collect();
        validator.strength(&account.password, &about).await?;
        validator.finish(account)
    }
}

/// Normalizes fields and collects what is wrong with them. The value of a wrong field is empty.
pub(super) struct Validator {
    country: Country,
    wrong: Vec<FieldError>,
}

impl Validator {
    pub(super) const fn new(country: Country) -> Self {
        Self { country, wrong: Vec::new() }
    }

    pub(super) fn username(&mut self, text: &str) -> String {
        self.value("/username", spelling::name(text))
    }

    pub(super) fn email(&mut self, text: &str) -> String {
        let is_valid = |email: &String| email.len() <= MAX_MAIL && email.parse::<lettre::Address>().is_ok();
        let email = spelling::mail(text).map_err(ToOwned::to_owned);
        let email = email.and_then(|email| {
            let why = || format!("must be a mail address of at most {MAX_MAIL} bytes");
            Some(email).filter(is_valid).ok_or_else(why)
        });
        self.value("/email", email)
    }

    pub(super) fn password(&mut self, text: &str) -> String {
        let password = spelling::password(text);
        let is_valid = (8..=256).contains(&password.chars().count());
        self.value(
            "/password",
            match password {
                _ if !is_valid => Err("must have 8 to 256 characters".to_owned()),
                password if password.contains(char::is_control) => {
                    Err("must not contain control characters".to_owned())
                }
                password => Ok(password),
            },
        )
    }

    /// Refuses a valid password that is easy to guess.
    pub(super) async fn strength(&mut self, password: &str, about: &[&str]) -> Result<()> {
        if !password.is_empty()
            && let Some(why) = strength::weakness(password, about).await?
        {
            self.note("/password", why);
        }
        Ok(())
    }

    pub(super) fn role(&mut self, text: &str) -> Role {
        let role = Role::named(text);
        if role.is_none() {
            self.note("/role", "must be user, attendant or admin".to_owned());
        }
        role.unwrap_or(Role::User)
    }

    /// A blank text counts as none.
    pub(super) fn vehicle_number(&mut self, text: Option<&str>) -> Option<String> {
        Some(self.value("/vehicle_number", spelling::plate(present(text)?)))
    }

    /// A blank text counts as none.
    pub(super) fn phone_number(&mut self, text: Option<&str>) -> Option<String> {
        Some(self.value("/phone_number", spelling::phone(present(text)?, self.country)))
    }

    fn value(&mut self, pointer: &str, value: Result<String, String>) -> String {
        value.unwrap_or_else(|why| {
            self.note(pointer, why);
            String::new()
        })
    }

    fn note(&mut self, pointer: &str, message: String) {
        self.wrong.push(FieldError { pointer: pointer.into(), message });
    }

    /// The value, unless one of its fields is invalid.
    pub(super) fn finish<T>(self, value: T) -> Result<T> {
        if self.wrong.is_empty() { Ok(value) } else { Err(Error::Invalid(self.wrong)) }
    }
}

/// The text without white space around it, unless nothing is left.
pub(super) fn present(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn checked(registration: Registration, role: Option<&str>) -> Result<Account> {
        Account::checked(registration, role, "IN".parse().unwrap()).await
    }

    #[tokio::test]
    async fn every_wrong_field_is_named() {
        let wrong = Registration {
            username: " ".into(),
            email: "nobody".into(),
            password: "short".into(),
            vehicle_number: Some("x".repeat(21)),
            phone_number: Some("\0".into()),
        };
        let Err(Error::Invalid(fields)) = checked(wrong, Some("boss")).await else {
            panic!("must be rejected")
        };
        let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/username", "/email", "/password", "/role", "/vehicle_number", "/phone_number"]
        );
    }

    #[tokio::test]
    async fn names_are_trimmed_addresses_lowered_and_blanks_dropped() {
        let registration = Registration {
            username: " Asha ".into(),
            email: " Asha@Example.COM ".into(),
            password: "tarmac lemon violin".into(),
            vehicle_number: Some("  ".into()),
            phone_number: None,
        };
        let account = checked(registration, None).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(account.username, "Asha");
        assert_eq!(account.email, "asha@example.com");
        assert_eq!(account.vehicle_number, None);
        assert_eq!(account.role, Role::User);
    }
}
