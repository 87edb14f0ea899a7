//! All settings together, and reading them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chrono_tz::Tz;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use spelling::Country;

use super::{
    cache::Cache,
    mail::Mail,
    notifications::Notifications,
    operations::Operations,
    parking::Parking,
    parse,
    rate_limits::{Action, Budget},
    redis::RedisServers,
    schedules::Schedules,
    sources::{Problems, Sources},
};
use crate::base::currency::Currency;

/// All settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is probably a mistake.
    pub warnings: Vec<String>,
    /// `APP_ENV`.
    pub environment: Environment,
    /// `HTTP_ADDR`.
    pub http_addr: SocketAddr,
    /// `MAX_REQUESTS`.
    pub max_requests: usize,
    /// `DRAIN_SECONDS`.
    pub drain: Duration,
    /// `PUBLIC_URL`, without a trailing slash.
    pub public_url: String,
    /// `WEB_URL`, or `PUBLIC_URL`, without a trailing slash.
    pub web_url: String,
    /// `CORS_ORIGINS`.
    pub cors_origins: Vec<String>,
    /// `APP_TIMEZONE`.
    pub zone: Tz,
    /// `CURRENCY`.
    pub currency: Currency,
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
    /// `REDIS_CA_FILE` and `REDIS_SENTINEL*`.
    pub redis_servers: RedisServers,
    /// `REDIS_PREFIX`.
    pub redis_prefix: String,
    /// `JWT_SECRET_KEY`: the first one signs. Not needed by commands without logins.
    pub jwt_keys: Vec<SecretString>,
    /// `APP_SECRET`: the first one signs.
    pub app_secrets: Vec<SecretString>,
    /// `SESSION_HOURS`.
    pub session_lifetime: Duration,
    /// `SESSION_MAX_DAYS`.
    pub session_max: Duration,
    /// `MAX_UNPAID_STAYS`; 0 for no limit.
    pub max_unpaid_stays: u32,
    /// `REQUIRE_VERIFIED_EMAIL`.
    pub require_verified_email: bool,
    /// `REQUIRE_ADMIN_TOTP`.
    pub require_admin_totp: bool,
    /// `CACHE_*`.
    pub cache: Cache,
    /// `COUNTERS_ENABLED`.
    pub counters_enabled: bool,
    /// `RATE_LIMIT_*` and `MAIL_RATE_LIMIT`, in the order of [`Action::ALL`].
    pub rate_limits: [Budget; Action::ALL.len()],
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
    /// How spots are shared.
    pub parking: Parking,
    /// `PHONE_COUNTRY`.
    pub phone_country: Country,
    /// `ALLOW_RESET`.
    pub allow_reset: bool,
    /// `ADMIN_EMAIL` and `ADMIN_PASSWORD`.
    pub admin: Option<Admin>,
    /// `MAIL_*`.
    pub mail: Mail,
    /// Times of scheduled jobs.
    pub schedules: Schedules,
    /// Google Chat, SMS and alerts.
    pub notifications: Notifications,
    /// Metrics, spans and backups.
    pub operations: Operations,
    /// `UPLOAD_FOLDER`.
    pub upload_folder: PathBuf,
    /// `CSV_EXPORT_EXPIRY_HOURS`.
    pub export_lifetime: Duration,
    /// `WORKER_MAIL`, `WORKER_EXPORTS`, `WORKER_MAINTENANCE`.
    pub workers: Workers,
}

/// `APP_ENV`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine.
    Development,
    /// Automated tests.
    Testing,
    /// Real drivers and real money.
    Production,
}

/// How processes log.
#[derive(Debug, Clone)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// A filter such as `info` or `shared=debug,info`.
    pub level: String,
}

/// The first administrator, created at start if nobody has this address.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The mail address, used to log in.
    pub email: String,
    /// The password, not hashed yet.
    pub password: SecretString,
}

/// How many jobs of each queue a worker runs at once.
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

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// All problems at once, each with the source of the value.
    pub fn load(mut from: Sources) -> Result<Self, Problems> {
        match Self::read(&mut from) {
            Some(config) if from.problems.is_empty() => Ok(config),
            _ => Err(Problems(from.problems)),
        }
    }

    /// An invalid value is noted and replaced by its default, so that all settings are read.
    fn read(from: &mut Sources) -> Option<Self> {
        Some(Self {
            warnings: from.warnings.clone(),
            environment: from.parse("APP_ENV", str::parse)?,
            http_addr: from.parse("HTTP_ADDR", parse::socket_address)?,
            max_requests: from.number("MAX_REQUESTS", 0..=100_000)?,
            drain: from.number("DRAIN_SECONDS", 0..=60).map(Duration::from_secs)?,
            public_url: from.parse("PUBLIC_URL", parse::public_url)?,
            web_url: from
                .parse("WEB_URL", parse::web_url)
                .or_else(|| from.text("PUBLIC_URL"))?
                .trim_end_matches('/')
                .to_owned(),
            cors_origins: from.parse("CORS_ORIGINS", parse::origins)?,
            zone: from.parse("APP_TIMEZONE", parse::zone)?,
            currency: from.parse("CURRENCY", str::parse)?,
            log: Log {
                json: from.parse("LOG_FORMAT", parse::log_format)?,
                level: from.parse("LOG_LEVEL", parse::log_level)?,
            },
            database_url: from.parse("DATABASE_URL", parse::database_url)?,
            database_connections: from.number("DATABASE_CONNECTIONS", 1..=1000)?,
            cache_redis_url: from.redis_url(&["CACHE_REDIS_URL"], 0)?,
            queue_redis_url: from.redis_url(&["QUEUE_REDIS_URL", "CELERY_BROKER_URL"], 1)?,
            notification_redis_url: from.redis_url(&["NOTIFICATION_REDIS_URL"], 2)?,
            redis_servers: RedisServers::read(from)?,
            redis_prefix: from.text("REDIS_PREFIX")?,
            jwt_keys: from.parse("JWT_SECRET_KEY", parse::secrets).unwrap_or_default(),
            app_secrets: from.parse("APP_SECRET", parse::secrets).unwrap_or_default(),
            session_lifetime: from.number("SESSION_HOURS", 1..=8760).map(Duration::from_hours)?,
            session_max: from
                .number("SESSION_MAX_DAYS", 1..=3650)
                .map(|days: u64| Duration::from_hours(24 * days))?,
            max_unpaid_stays: from.number("MAX_UNPAID_STAYS", 0..=1000)?,
            require_verified_email: from.parse("REQUIRE_VERIFIED_EMAIL", parse::boolean)?,
            require_admin_totp: from.parse("REQUIRE_ADMIN_TOTP", parse::boolean)?,
            cache: Cache::read(from)?,
            counters_enabled: from.parse("COUNTERS_ENABLED", parse::boolean)?,
            rate_limits: Budget::read_all(from)?,
            trusted_proxies: from.parse("TRUSTED_PROXIES", parse::networks).unwrap_or_default(),
            parking: Parking::read(from)?,
            phone_country: from.parse("PHONE_COUNTRY", str::parse)?,
            allow_reset: from.parse("ALLOW_RESET", parse::boolean)?,
            admin: Admin::read(from),
            mail: Mail::read(from)?,
            schedules: Schedules::read(from)?,
            notifications: Notifications::read(from)?,
            operations: Operations::read(from),
            upload_folder: from.text("UPLOAD_FOLDER")?.into(),
            export_lifetime: from.number("CSV_EXPORT_EXPIRY_HOURS", 1..=8760).map(Duration::from_hours)?,
            workers: Workers::read(from)?,
        })
    }

    /// The folder of the database, if that is a file.
    #[must_use]
    pub fn database_folder(&self) -> Option<PathBuf> {
        let file = self.database_url.expose_secret().strip_prefix("sqlite:")?;
        let path = file.trim_start_matches("//").split('?').next()?;
        Path::new(path).parent().map(Path::to_path_buf)
    }

    /// What migrations of existing data depend on.
    #[must_use]
    pub const fn for_migrations(&self) -> migration::Settings {
        migration::Settings { phone_country: self.phone_country }
    }

    /// For commands with logins.
    ///
    /// # Errors
    /// A problem to show to the operator when `JWT_SECRET_KEY` is missing.
    pub fn require_jwt_keys(&self) -> Result<(), Problems> {
        if !self.jwt_keys.is_empty() {
            return Ok(());
        }
        Err(Problems(vec![
            "JWT_SECRET_KEY: is missing; it signs the login tokens and needs at least 32 bytes, \
             for example the output of: openssl rand -hex 32"
                .into(),
        ]))
    }
}

impl Admin {
    fn read(from: &mut Sources) -> Option<Self> {
        let (email, password) = from.pair("ADMIN_EMAIL", "ADMIN_PASSWORD")?;
        Some(Self { email, password: password.into() })
    }
}

impl Workers {
    fn read(from: &mut Sources) -> Option<Self> {
        Some(Self {
            mail: from.number("WORKER_MAIL", 1..=64)?,
            exports: from.number("WORKER_EXPORTS", 1..=16)?,
            maintenance: from.number("WORKER_MAINTENANCE", 1..=16)?,
        })
    }
}
