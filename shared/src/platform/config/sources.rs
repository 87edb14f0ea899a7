//! Where the values of settings come from, and reading them, with every problem noted together with its source.

use std::{collections::BTreeMap, fmt, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

use super::parse;
use crate::platform::settings::SETTINGS;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All problems of the settings, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not valid:\n  {}", .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

/// The values: those of the environment win over `.env`, and that over a file named on the command line.
#[derive(Debug, Default)]
pub struct Sources {
    values: BTreeMap<String, (String, String)>,
    pub(super) problems: Vec<String>,
}

impl Sources {
    /// Reads the environment, `.env` in the working directory and `file`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    pub fn read(file: Option<&Path>) -> Self {
        let mut sources = Self::default();
        for setting in SETTINGS {
            match std::env::var(setting.name) {
                Ok(value) => sources.add(setting.name, value, "the environment"),
                Err(std::env::VarError::NotPresent) => {}
                Err(std::env::VarError::NotUnicode(_)) => {
                    sources.problems.push(format!("{} (from the environment): is not UTF-8", setting.name))
                }
            }
        }
        if Path::new(".env").exists() {
            sources.add_file(Path::new(".env"));
        }
        if let Some(file) = file {
            sources.add_file(file);
        }
        sources
    }

    /// The given values, for tests.
    #[must_use]
    pub fn of<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut sources = Self::default();
        for (name, value) in values {
            sources.add_checked(name.into(), value.into(), "the given values");
        }
        sources
    }

    fn add_file(&mut self, path: &Path) {
        match dotenvy::from_path_iter(path) {
            Ok(entries) => {
                for (number, entry) in (1..).zip(entries) {
                    match entry {
                        Ok((name, value)) => self.add_checked(name, value, &path.display().to_string()),
                        // The error would show the line, which may contain a secret.
                        Err(_) => self.problems.push(format!(
                            "{}: entry {number} is malformed; write NAME=VALUE, and quote a value with spaces",
                            path.display()
                        )),
                    }
                }
            }
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
    }

    fn add_checked(&mut self, name: String, value: String, source: &str) {
        if SETTINGS.iter().any(|s| s.name == name) {
            self.add(&name, value, source);
        } else {
            self.problems.push(format!("{name} (from {source}) is not a setting; --help lists them"));
        }
    }

    /// Keeps the value of an earlier source; an empty value counts as none.
    fn add(&mut self, name: &str, value: String, source: &str) {
        if !value.trim().is_empty() {
            self.values.entry(name.to_owned()).or_insert((value, source.to_owned()));
        }
    }

    /// The value and its source.
    fn raw(&self, name: &str) -> Option<(&str, &str)> {
        match self.values.get(name) {
            Some((value, source)) => Some((value.trim(), source)),
            None => default(name).map(|value| (value, "the default")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|(value, _)| value.to_owned())
    }

    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        let source = self.raw(name).map_or_else(String::new, |(_, source)| format!(" (from {source})"));
        self.problems.push(format!("{name}{source}: {what}"));
    }

    /// Reads a value. If it is not valid, a problem is noted and the default returned.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match read(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, error);
                default(name).and_then(|default| read(default).ok())
            }
        }
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<T> {
        self.parse(name, |text| {
            let number = text.parse::<u64>().ok().filter(|n| range.contains(n));
            number
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// Two settings that are given together or not at all.
    pub(super) fn pair(&mut self, first: &str, second: &str) -> Option<(String, String)> {
        match (self.text(first), self.text(second)) {
            (Some(one), Some(other)) => return Some((one, other)),
            (None, None) => {}
            (Some(_), None) => self.problem(first, format!("requires {second}, which is missing")),
            (None, Some(_)) => self.problem(second, format!("requires {first}, which is missing")),
        }
        None
    }

    /// The URL of Redis database `db`, from its own setting, from `REDIS_URL`, or from host, port and password.
    pub(super) fn redis_url(&mut self, names: &[&str], db: u8) -> Option<SecretString> {
        if let Some(name) = names.iter().find(|name| self.values.contains_key(**name))
            && let Some(url) = self.parse(name, parse::redis_url)
        {
            return Some(url);
        }
        if self.values.contains_key("REDIS_URL")
            && let Some(url) = self.parse("REDIS_URL", |url| parse::redis_url_after(url, db))
        {
            return Some(url);
        }
        let (host, port) = (self.text("REDIS_HOST")?, self.number::<u16>("REDIS_PORT", 1..=65535)?);
        let password = self
            .text("REDIS_PASSWORD")
            .map_or_else(String::new, |password| format!(":{}@", utf8_percent_encode(&password, RESERVED)));
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        let scheme = if self.values.contains_key("REDIS_CA_FILE") { "rediss" } else { "redis" };
        Some(format!("{scheme}://{password}{host}:{port}/{db}").into())
    }
}

fn default(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|setting| setting.name == name)?.default
}
