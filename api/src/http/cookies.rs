//! Cookies: the session of a login, the mark of an anonymous visitor, and the chosen language.

use axum::http::{HeaderMap, HeaderValue, header};
use shared::platform::config::Config;

/// A cookie, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The token of a session.
    Session,
    /// A random text, to which the forms of anonymous visitors are bound.
    Visitor,
    /// A language tag.
    Language,
}

/// How long browsers keep the choice of a language.
const A_YEAR: u64 = 365 * 24 * 3600;

impl Cookie {
    /// With the prefix, browsers accept the cookie only over TLS, from this host and for all paths.
    const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-parkade_session",
            (Self::Session, false) => "parkade_session",
            (Self::Visitor, true) => "__Host-parkade_visitor",
            (Self::Visitor, false) => "parkade_visitor",
            (Self::Language, true) => "__Host-parkade_language",
            (Self::Language, false) => "parkade_language",
        }
    }

    /// Its value in a request.
    pub(crate) fn read<'a>(self, headers: &'a HeaderMap, config: &Config) -> Option<&'a str> {
        let name = self.name(is_secure(config));
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The header that sets it. Values are made here and need no quoting.
    pub(crate) fn set(self, config: &Config, value: &str) -> Option<HeaderValue> {
        self.line(
            config,
            value,
            match self {
                Self::Session => config.session_lifetime.as_secs(),
                Self::Visitor | Self::Language => A_YEAR,
            },
        )
    }

    /// The header that removes it.
    pub(crate) fn remove(self, config: &Config) -> Option<HeaderValue> {
        self.line(config, "", 0)
    }

    fn line(self, config: &Config, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = is_secure(config);
        let flag = if secure { "; Secure" } else { "" };
        let name = self.name(secure);
        let line = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{flag}");
        HeaderValue::try_from(line).ok()
    }
}

fn is_secure(config: &Config) -> bool {
    config.public_url.starts_with("https://")
}
