//! Every setting: listed once, read once, and every problem reported together with where the value came from.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};

pub use crate::settings::{SETTINGS, Setting};

/// What the application was told by its operator.
#[derive(Debug, Clone)]
pub struct Config {
    /// `APP_ENV`.
    pub environment: Environment,
    /// `HTTP_ADDR`.
    pub http_addr: SocketAddr,
    /// `PUBLIC_URL`, without a slash at its end.
    pub public_url: String,
    /// `CORS_ORIGINS`.
    pub cors_origins: Vec<String>,
    /// `APP_TIMEZONE`.
    pub zone: Tz,
    /// `CURRENCY`.
    pub currency: String,
    /// `LOG_FORMAT` and `LOG_LEVEL`.
    pub log: Log,
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// `DATABASE_CONNECTIONS`.
    pub database_connections: u32,
    /// `CACHE_REDIS_URL`, database 0.
    pub cache_redis_url: SecretString,
    /// `QUEUE_REDIS_URL`, database 1.
    pub queue_redis_url: SecretString,
    /// `NOTIFICATION_REDIS_URL`, database 2.
    pub notification_redis_url: SecretString,
    /// `REDIS_PREFIX`.
    pub redis_prefix: String,
    /// `JWT_SECRET_KEY`; `None` in commands that log nobody in.
    pub jwt_secret: Option<SecretString>,
    /// `SESSION_HOURS`.
    pub session_lifetime: Duration,
    /// `ADMIN_EMAIL` and `ADMIN_PASSWORD`.
    pub admin: Option<Admin>,
    /// The mail server and the sender.
    pub mail: Mail,
    /// `UPLOAD_FOLDER`.
    pub upload_folder: PathBuf,
    /// `CSV_EXPORT_EXPIRY_HOURS`.
    pub export_expiry: Duration,
    /// `WORKER_MAIL`, `WORKER_EXPORTS`, `WORKER_MAINTENANCE`.
    pub workers: Workers,
}

/// `APP_ENV`: what is allowed differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// On a developer's machine.
    Development,
    /// Under test.
    Testing,
    /// With real drivers and real money.
    Production,
}

/// How the processes log.
#[derive(Debug, Clone)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// A filter such as `info` or `shared=debug,info`.
    pub level: String,
}

/// The first administrator, made at start when there is none with this address.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Mail address, which is the login.
    pub email: String,
    /// Password in clear, hashed before it is stored.
    pub password: SecretString,
}

/// How mails leave.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `MAIL_SERVER`; without one, mails become files in `folder`.
    pub server: Option<String>,
    /// `MAIL_PORT`.
    pub port: u16,
    /// `MAIL_USE_TLS`: STARTTLS is then required.
    pub use_tls: bool,
    /// `MAIL_USERNAME` and `MAIL_PASSWORD`.
    pub credentials: Option<(String, SecretString)>,
    /// `MAIL_DEFAULT_SENDER`.
    pub sender: String,
    /// `MAIL_FOLDER`.
    pub folder: PathBuf,
}

/// How many jobs of each queue a worker process runs at once.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// Queue `mail`.
    pub mail: usize,
    /// Queue `exports`.
    pub exports: usize,
    /// Queue `maintenance`.
    pub maintenance: usize,
}

impl FromStr for Environment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "development" => Ok(Self::Development),
            "testing" => Ok(Self::Testing),
            "production" => Ok(Self::Production),
            _ => Err("must be development, testing or production"),
        }
    }
}

/// Every problem found in the settings, a line each.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:\n  {}", .0.join("\n  "))]
pub struct Problems(pub Vec<String>);

/// Where values come from: the environment, before `.env`, before a file named on the command line.
#[derive(Debug, Default)]
pub struct Sources {
    values: BTreeMap<String, (String, String)>,
    problems: Vec<String>,
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
                Err(error) => sources.problems.push(format!("{} (from the environment): {error}", setting.name)),
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
                for entry in entries {
                    match entry {
                        Ok((name, value)) => self.add_checked(name, value, &path.display().to_string()),
                        Err(error) => self.problems.push(format!("{}: {error}", path.display())),
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
            self.problems.push(format!("{name} (from {source}): there is no such setting; --help lists them"));
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

    fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|(value, _)| value.to_owned())
    }

    fn problem(&mut self, name: &str, what: impl fmt::Display) {
        let source = self.raw(name).map_or_else(String::new, |(_, source)| format!(" (from {source})"));
        self.problems.push(format!("{name}{source}: {what}"));
    }

    /// A value that `read` understands; otherwise a problem is noted and `None` returned.
    fn parse<T, E: fmt::Display>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let value = self.text(name)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, error);
                None
            }
        }
    }

    fn number<T: TryFrom<u64>>(&mut self, name: &str, range: std::ops::RangeInclusive<u64>) -> Option<T> {
        self.parse(name, |text| {
            let number = text.parse::<u64>().ok().filter(|n| range.contains(n));
            number
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// The URL of Redis database `db`, from its own setting or from host, port and password.
    fn redis_url(&mut self, names: &[&str], db: u8) -> Option<SecretString> {
        if let Some(name) = names.iter().find(|name| self.values.contains_key(**name)) {
            return self.parse(name, |url| {
                redis_scheme(url).then(|| SecretString::from(url)).ok_or("must begin with redis://, rediss:// or unix://")
            });
        }
        let (host, port) = (self.text("REDIS_HOST")?, self.number::<u16>("REDIS_PORT", 1..=65535)?);
        let password = self.text("REDIS_PASSWORD").map_or_else(String::new, |p| format!(":{}@", percent_encode(&p)));
        Some(SecretString::from(format!("redis://{password}{host}:{port}/{db}")))
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

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// All problems at once, each with the source of the value.
    pub fn load(mut from: Sources) -> Result<Self, Problems> {
        let config = Self::build(&mut from);
        match config {
            Some(config) if from.problems.is_empty() => Ok(config),
            _ => Err(Problems(from.problems)),
        }
    }

    /// Reads every setting, then reports; nothing returns before all have been looked at.
    fn build(from: &mut Sources) -> Option<Self> {
        let environment = from.parse("APP_ENV", str::parse);
        let http_addr = from.parse("HTTP_ADDR", |text| {
            text.parse::<SocketAddr>().map_err(|_| "must be an address and a port such as 127.0.0.1:5000")
        });
        let zone = from.parse("APP_TIMEZONE", |text| {
            text.parse::<Tz>().map_err(|_| "must be a time zone of the IANA database such as Asia/Kolkata")
        });
        let currency = from.parse("CURRENCY", |text| {
            let known = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
            known.then(|| text.to_owned()).ok_or("must be a currency code of three capital letters such as INR")
        });
        let json = from.parse("LOG_FORMAT", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("must be text or json"),
        });
        let database_url = from.parse("DATABASE_URL", |url| {
            let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
            known.then(|| SecretString::from(url)).ok_or("must begin with sqlite: or postgres://")
        });
        let cache_redis_url = from.redis_url(&["CACHE_REDIS_URL"], 0);
        let queue_redis_url = from.redis_url(&["QUEUE_REDIS_URL", "CELERY_BROKER_URL"], 1);
        let notification_redis_url = from.redis_url(&["NOTIFICATION_REDIS_URL"], 2);
        let jwt_secret = from.parse("JWT_SECRET_KEY", |key| {
            if key.len() >= 32 { Ok(SecretString::from(key)) } else { Err("must have at least 32 bytes") }
        });
        let admin = Self::admin(from);
        let mail = Self::mail(from);
        let database_connections = from.number("DATABASE_CONNECTIONS", 1..=1000);
        let session_hours = from.number::<u64>("SESSION_HOURS", 1..=8760);
        let expiry_hours = from.number::<u64>("CSV_EXPORT_EXPIRY_HOURS", 1..=8760);
        let workers = [("WORKER_MAIL", 64), ("WORKER_EXPORTS", 16), ("WORKER_MAINTENANCE", 16)]
            .map(|(name, most)| from.number::<usize>(name, 1..=most));
        Some(Self {
            environment: environment?,
            http_addr: http_addr?,
            public_url: from.text("PUBLIC_URL")?.trim_end_matches('/').to_owned(),
            cors_origins: from.text("CORS_ORIGINS")?.split(',').map(|s| s.trim().to_owned()).collect(),
            zone: zone?,
            currency: currency?,
            log: Log { json: json?, level: from.text("LOG_LEVEL")? },
            database_url: database_url?,
            database_connections: database_connections?,
            cache_redis_url: cache_redis_url?,
            queue_redis_url: queue_redis_url?,
            notification_redis_url: notification_redis_url?,
            redis_prefix: from.text("REDIS_PREFIX")?,
            jwt_secret,
            session_lifetime: Duration::from_secs(session_hours? * 3600),
            admin,
            mail: mail?,
            upload_folder: from.text("UPLOAD_FOLDER")?.into(),
            export_expiry: Duration::from_secs(expiry_hours? * 3600),
            workers: Workers { mail: workers[0]?, exports: workers[1]?, maintenance: workers[2]? },
        })
    }

    fn admin(from: &mut Sources) -> Option<Admin> {
        match (from.text("ADMIN_EMAIL"), from.text("ADMIN_PASSWORD")) {
            (Some(email), Some(password)) => Some(Admin { email, password: password.into() }),
            (None, None) => None,
            (Some(_), None) => {
                from.problem("ADMIN_EMAIL", "goes with ADMIN_PASSWORD, which is missing");
                None
            }
            (None, Some(_)) => {
                from.problem("ADMIN_PASSWORD", "goes with ADMIN_EMAIL, which is missing");
                None
            }
        }
    }

    fn mail(from: &mut Sources) -> Option<Mail> {
        let port = from.number("MAIL_PORT", 1..=65535);
        let use_tls = from.parse("MAIL_USE_TLS", yes_or_no);
        let credentials = match (from.text("MAIL_USERNAME"), from.text("MAIL_PASSWORD")) {
            (Some(user), Some(password)) => Some((user, password.into())),
            _ => None,
        };
        let sender = from.parse("MAIL_DEFAULT_SENDER", |text| {
            text.parse::<lettre::message::Mailbox>().map(|_| text.to_owned()).map_err(|e| format!("no mail address: {e}"))
        });
        Some(Mail {
            server: from.text("MAIL_SERVER"),
            port: port?,
            use_tls: use_tls?,
            credentials,
            sender: sender?,
            folder: from.text("MAIL_FOLDER")?.into(),
        })
    }

    /// The key that signs tokens.
    ///
    /// # Errors
    /// A problem to show to the operator when `JWT_SECRET_KEY` is missing.
    pub fn jwt_secret(&self) -> Result<&[u8], Problems> {
        self.jwt_secret.as_ref().map(|key| key.expose_secret().as_bytes()).ok_or_else(|| {
            Problems(vec![
                "JWT_SECRET_KEY: is missing; it signs the login tokens and needs at least 32 bytes, \
                 for example the output of: openssl rand -hex 32"
                    .into(),
            ])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(values: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::load(Sources::of(values.iter().copied()))
    }

    #[test]
    fn the_defaults_are_enough() {
        let config = load(&[]).unwrap();
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:5000");
        assert_eq!(config.queue_redis_url.expose_secret(), "redis://127.0.0.1:6379/1");
        assert!(config.jwt_secret().unwrap_err().to_string().contains("JWT_SECRET_KEY"));
    }

    #[test]
    fn all_problems_come_at_once_with_their_source() {
        let problems = load(&[
            ("HTTP_ADDR", "here"),
            ("APP_TIMEZONE", "Mars/Olympus"),
            ("JWT_SECRET_KEY", "short"),
            ("MAIL_USE_TLS", "perhaps"),
            ("ADMIN_EMAIL", "a@b.example"),
            ("NO_SUCH", "x"),
        ])
        .unwrap_err();
        let text = problems.to_string();
        for name in ["HTTP_ADDR", "APP_TIMEZONE", "JWT_SECRET_KEY", "MAIL_USE_TLS", "ADMIN_EMAIL", "NO_SUCH"] {
            assert!(text.contains(&format!("{name} (from the given values)")), "{name} in {text}");
        }
        assert!(!text.contains("short"), "a secret is not shown");
    }

    #[test]
    fn redis_can_be_given_by_host_port_and_password() {
        let config =
            load(&[("REDIS_HOST", "cache"), ("REDIS_PORT", "6380"), ("REDIS_PASSWORD", "p@ss/word")]).unwrap();
        assert_eq!(config.notification_redis_url.expose_secret(), "redis://:p%40ss%2Fword@cache:6380/2");
        let config = load(&[("CELERY_BROKER_URL", "redis://broker:6379/5")]).unwrap();
        assert_eq!(config.queue_redis_url.expose_secret(), "redis://broker:6379/5");
    }

    #[test]
    fn mail_tls_is_read_in_any_case() {
        for (text, expected) in [("True", true), ("true", true), ("FALSE", false), ("0", false)] {
            assert_eq!(load(&[("MAIL_USE_TLS", text)]).unwrap().mail.use_tls, expected, "{text}");
        }
    }
}
