//! Where the values of settings come from, and reading them with every problem noted beside its source.

use std::{collections::BTreeMap, fmt, path::Path};

use secrecy::SecretString;

use super::SETTINGS;

/// Every problem found in the settings, a line each.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:\n  {}", .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

/// Where values come from: the environment, before `.env`, before a file named on the command line.
#[derive(Debug, Default)]
pub struct Sources {
    values: BTreeMap<String, (String, String)>,
    pub(super) problems: Vec<String>,
}

impl Sources {
    /// Reads the process's environment, `.env` in the working directory and `file`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
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

    /// Values given one by one, for tests.
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
                        // The error would show the line, which may hold a secret.
                        Err(_) => self.problems.push(format!(
                            "{}: entry {number} cannot be read; write NAME=VALUE, and quote a value with spaces",
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
            self.problems
                .push(format!("{name} (from {source}): there is no such setting; --help lists them"));
        }
    }

    /// The first source that has a value wins; an empty value counts as none.
    fn add(&mut self, name: &str, value: String, source: &str) {
        if !value.trim().is_empty() {
            self.values.entry(name.to_owned()).or_insert((value, source.to_owned()));
        }
    }

    fn raw(&self, name: &str) -> Option<(&str, &str)> {
        let default = SETTINGS.iter().find(|s| s.name == name).and_then(|s| s.default);
        match self.values.get(name) {
            Some((value, source)) => Some((value.trim(), source)),
            None => default.map(|value| (value, "the default")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|(value, _)| value.to_owned())
    }

    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        let source = self.raw(name).map_or_else(String::new, |(_, source)| format!(" (from {source})"));
        self.problems.push(format!("{name}{source}: {what}"));
    }

    /// A value that `read` understands; otherwise a problem is noted and `None` returned.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.text(name)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, error);
                None
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

    /// The URL of Redis database `db`, from its own setting or from host, port and password.
    pub(super) fn redis_url(&mut self, names: &[&str], db: u8) -> Option<SecretString> {
        if let Some(name) = names.iter().find(|name| self.values.contains_key(**name)) {
            return self.parse(name, |url| {
                redis_scheme(url)
                    .then(|| SecretString::from(url))
                    .ok_or("must begin with redis://, rediss:// or unix://")
            });
        }
        let (host, port) = (self.text("REDIS_HOST")?, self.number::<u16>("REDIS_PORT", 1..=65535)?);
        let password =
            self.text("REDIS_PASSWORD").map_or_else(String::new, |p| format!(":{}@", percent_encode(&p)));
        let scheme = if self.values.contains_key("REDIS_CA_FILE") { "rediss" } else { "redis" };
        Some(SecretString::from(format!("{scheme}://{password}{host}:{port}/{db}")))
    }
}

fn redis_scheme(url: &str) -> bool {
    ["redis://", "rediss://", "unix://", "redis+unix://"].iter().any(|scheme| url.starts_with(scheme))
}

/// Everything but unreserved characters (RFC 3986), so that a password may hold any.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}
