//! Where the values of settings come from, and reading them, with every problem noted together with its source.

use std::{collections::BTreeMap, fmt, io, io::Read, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

use super::{env_file, parse};
use crate::platform::settings::{SETTINGS, Setting};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All problems of the settings, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not valid:\n  {}", .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

/// The values: those of the environment win over `.env`, and that over a file named on the command line.
#[derive(Debug, Default)]
pub struct Sources {
    values: BTreeMap<String, Value>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
struct Value {
    text: String,
    /// To show to the operator.
    source: String,
    /// Whether the source names a file with the value.
    is_in_file: bool,
}

/// A secret in a file is no longer than this.
const MAX_SECRET: u64 = 64 * 1024;

impl Sources {
    /// Reads the environment, `.env` in the working directory and `file`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    pub fn read(file: Option<&Path>) -> Self {
        let mut sources = Self::default();
        for setting in SETTINGS {
            for name in [Some(setting.name.to_owned()), setting.file_name()].into_iter().flatten() {
                match std::env::var(&name) {
                    Ok(value) => sources.add_checked(name, value, "the environment"),
                    Err(std::env::VarError::NotPresent) => {}
                    Err(std::env::VarError::NotUnicode(_)) => {
                        sources.problems.push(format!("{name} (from the environment): is not UTF-8"));
                    }
                }
            }
        }
        // Other programs have variables, too, so a wrong name is no problem.
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        sources.warnings = names.filter_map(|name| misspelt(&name)).collect();
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
        match std::fs::read(path) {
            Ok(bytes) => {
                let (entries, problems) = env_file::parse(&bytes);
                let source = path.display().to_string();
                self.problems.extend(problems.into_iter().map(|problem| format!("{source}: {problem}")));
                for (name, value) in entries {
                    self.add_checked(name, value, &source);
                }
            }
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
    }

    fn add_checked(&mut self, name: String, value: String, source: &str) {
        if value.trim().is_empty() {
            // Counts as none.
        } else if SETTINGS.iter().any(|s| s.name == name) {
            self.add(&name, Value { text: value, source: source.to_owned(), is_in_file: false });
        } else if let Some(setting) = SETTINGS.iter().find(|s| s.file_name().as_deref() == Some(&*name)) {
            self.add_secret(setting, value.trim(), source);
        } else {
            let hint =
                closest(&name).map_or("--help lists them".to_owned(), |known| format!("is it {known}?"));
            self.problems.push(format!("{name} (from {source}) is not a setting; {hint}"));
        }
    }

    /// Keeps the value of an earlier source. One source must not have both the value and a file with it.
    fn add(&mut self, name: &str, value: Value) {
        match self.values.get(name) {
            None => drop(self.values.insert(name.to_owned(), value)),
            Some(other) if other.source == value.source && other.is_in_file != value.is_in_file => {
                self.problem(name, format!("{name}_FILE is set, too; set one of them"));
            }
            Some(_) => {}
        }
    }

    /// Reads the value of a secret from a file.
    fn add_secret(&mut self, setting: &Setting, file: &str, source: &str) {
        let mut value = Value { text: String::new(), source: source.to_owned(), is_in_file: true };
        match read_secret(Path::new(file)) {
            Ok(text) => value.text = text,
            Err(error) => {
                self.problems.push(format!("{}_FILE (from {source}): {file}: {error}", setting.name))
            }
        }
        self.add(setting.name, value);
    }

    /// The value and its source.
    fn raw(&self, name: &str) -> Option<(&str, &str)> {
        match self.values.get(name) {
            Some(value) if !value.text.is_empty() => Some((value.text.trim(), &value.source)),
            _ => default(name).map(|value| (value, "the default")),
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

/// The text of a file, which is expected to end with a line feed.
fn read_secret(path: &Path) -> io::Result<String> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut text = String::new();
    file.take(MAX_SECRET).read_to_string(&mut text)?;
    if text.trim().is_empty() { Err(io::Error::other("is empty")) } else { Ok(text) }
}

/// The warning about a variable that looks like a misspelt setting.
fn misspelt(name: &str) -> Option<String> {
    let known = closest(name).filter(|known| *known != name)?;
    Some(format!("{name} (from the environment) is not a setting and is ignored; is it {known}?"))
}

/// The setting whose name differs from this one by at most two letters.
fn closest(name: &str) -> Option<&'static str> {
    let distance = |setting: &Setting| strsim::damerau_levenshtein(setting.name, name);
    let nearest = SETTINGS.iter().map(|setting| (distance(setting), setting.name)).min()?;
    (nearest.0 <= 2).then_some(nearest.1)
}

fn default(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|setting| setting.name == name)?.default
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_settings_are_noticed() {
        for (name, known) in [
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_ULR", "DATABASE_URL"),
            ("MAIL_SERVR", "MAIL_SERVER"),
            ("REDIS_HOSTS", "REDIS_HOST"),
            ("JWT_SECRET_KEYS", "JWT_SECRET_KEY"),
        ] {
            assert!(misspelt(name).is_some_and(|text| text.contains(&format!("is it {known}?"))), "{name}");
        }
        for name in
            ["DATABASE_URL", "PATH", "HOME", "LOGNAME", "REDIS_PORT_6379_TCP", "MAIL", "DATABASE_HOST"]
        {
            assert_eq!(misspelt(name), None);
        }
    }
}
