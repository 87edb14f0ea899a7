//! Every setting: listed once, read once, and every problem reported together with where the value came from.

mod cache;
mod mail;
mod notifications;
mod operations;
mod rate_limits;
mod redis;
mod schedules;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use chrono::TimeDelta;
use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    cache::Cache,
    mail::{Encryption, Mail},
    notifications::{GOOGLE_CHAT_HOST, Notifications, Twilio},
    operations::Operations,
    rate_limits::{Action, Budget},
    redis::RedisServers,
    schedules::Schedules,
    sources::{Problems, Sources},
};
pub use crate::platform::settings::{SETTINGS, Setting};

/// What the application was told by its operator.
#[derive(Debug, Clone)]
pub struct Config {
    /// `APP_ENV`.
    pub environment: Environment,
    /// `HTTP_ADDR`.
    pub http_addr: SocketAddr,
    /// `MAX_REQUESTS`.
    pub max_requests: usize,
    /// `DRAIN_SECONDS`.
    pub drain: Duration,
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
    /// `REDIS_CA_FILE` and `REDIS_SENTINEL*`.
    pub redis_servers: RedisServers,
    /// `REDIS_PREFIX`.
    pub redis_prefix: String,
    /// `JWT_SECRET_KEY`; `None` in commands that log nobody in.
    pub jwt_secret: Option<SecretString>,
    /// `SESSION_HOURS`.
    pub session_lifetime: Duration,
    /// `CACHE_*`.
    pub cache: Cache,
    /// `COUNTERS_ENABLED`.
    pub counters_enabled: bool,
    /// `RATE_LIMIT_*` and `MAIL_RATE_LIMIT`, in the order of [`Action::ALL`].
    pub rate_limits: [Budget; Action::ALL.len()],
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpAddr>,
    /// `RESERVATION_MAX_HOURS`.
    pub max_reservation: TimeDelta,
    /// `RESERVATION_NO_SHOW_MINUTES`.
    pub no_show_after: TimeDelta,
    /// `ALLOW_RESET`.
    pub allow_reset: bool,
    /// `ADMIN_EMAIL` and `ADMIN_PASSWORD`.
    pub admin: Option<Admin>,
    /// The mail server and the sender.
    pub mail: Mail,
    /// When jobs run by themselves.
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

/// Web origins, each as a browser sends it.
fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    let is_origin = |origin: &str| {
        let host =
            origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/*,".contains(&byte))
    };
    let origins: Vec<String> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
    if origins.iter().all(|origin| is_origin(origin)) {
        Ok(origins)
    } else {
        Err("must be origins such as https://app.example.com, separated by commas, without a path or a *")
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an address and a port such as 127.0.0.1:5000")
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, &'static str> {
    let read = |address: &str| address.trim().parse::<IpAddr>().map(|address| address.to_canonical());
    let addresses: Result<_, _> = text.split(',').map(read).collect();
    addresses.map_err(|_| "must be IP addresses, separated by commas")
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
        let http_addr = from.parse("HTTP_ADDR", socket_address);
        let max_requests = from.number("MAX_REQUESTS", 0..=100_000);
        let drain = from.number("DRAIN_SECONDS", 0..=60).map(Duration::from_secs);
        let zone = from.parse("APP_TIMEZONE", |text| {
            text.parse::<Tz>().map_err(|_| "must be a time zone of the IANA database such as Asia/Kolkata")
        });
        let currency = from.parse("CURRENCY", |text| {
            let known = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
            known
                .then(|| text.to_owned())
                .ok_or("must be a currency code of three capital letters such as INR")
        });
        let json = from.parse("LOG_FORMAT", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("must be text or json"),
        });
        let level = from.parse("LOG_LEVEL", |text| {
            tracing_subscriber::EnvFilter::try_new(text)
                .map(|_| text.to_owned())
                .map_err(|error| error.to_string())
        });
        let cors_origins = from.parse("CORS_ORIGINS", origins);
        let database_url = from.parse("DATABASE_URL", |url| {
            let known =
                ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
            known.then(|| SecretString::from(url)).ok_or("must begin with sqlite: or postgres://")
        });
        let cache_redis_url = from.redis_url(&["CACHE_REDIS_URL"], 0);
        let queue_redis_url = from.redis_url(&["QUEUE_REDIS_URL", "CELERY_BROKER_URL"], 1);
        let notification_redis_url = from.redis_url(&["NOTIFICATION_REDIS_URL"], 2);
        let redis_servers = RedisServers::read(from);
        let jwt_secret = from.parse("JWT_SECRET_KEY", |key| {
            if key.len() >= 32 { Ok(SecretString::from(key)) } else { Err("must have at least 32 bytes") }
        });
        let allow_reset = from.parse("ALLOW_RESET", sources::yes_or_no);
        let admin = Self::admin(from);
        let cache = Cache::read(from);
        let counters_enabled = from.parse("COUNTERS_ENABLED", sources::yes_or_no);
        let rate_limits = Action::ALL.map(|(_, name)| from.parse(name, str::parse::<Budget>));
        let trusted_proxies = from.parse("TRUSTED_PROXIES", addresses);
        let mail = Mail::read(from);
        let schedules = Schedules::read(from);
        let notifications = Notifications::read(from);
        let operations = Operations::read(from);
        let database_connections = from.number("DATABASE_CONNECTIONS", 1..=1000);
        let session_hours = from.number::<u64>("SESSION_HOURS", 1..=8760);
        let max_reservation = from.number("RESERVATION_MAX_HOURS", 1..=8760).map(TimeDelta::hours);
        let no_show_after = from.number("RESERVATION_NO_SHOW_MINUTES", 1..=1440).map(TimeDelta::minutes);
        let expiry_hours = from.number::<u64>("CSV_EXPORT_EXPIRY_HOURS", 1..=8760);
        let workers = [("WORKER_MAIL", 64), ("WORKER_EXPORTS", 16), ("WORKER_MAINTENANCE", 16)]
            .map(|(name, most)| from.number::<usize>(name, 1..=most));
        Some(Self {
            environment: environment?,
            http_addr: http_addr?,
            max_requests: max_requests?,
            drain: drain?,
            public_url: from.text("PUBLIC_URL")?.trim_end_matches('/').to_owned(),
            cors_origins: cors_origins?,
            zone: zone?,
            currency: currency?,
            log: Log { json: json?, level: level? },
            database_url: database_url?,
            database_connections: database_connections?,
            cache_redis_url: cache_redis_url?,
            queue_redis_url: queue_redis_url?,
            notification_redis_url: notification_redis_url?,
            redis_servers: redis_servers?,
            redis_prefix: from.text("REDIS_PREFIX")?,
            jwt_secret,
            session_lifetime: Duration::from_secs(session_hours? * 3600),
            cache: cache?,
            counters_enabled: counters_enabled?,
            rate_limits: rate_limits.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok()?,
            trusted_proxies: trusted_proxies.unwrap_or_default(),
            max_reservation: max_reservation?,
            no_show_after: no_show_after?,
            allow_reset: allow_reset?,
            admin,
            mail: mail?,
            schedules: schedules?,
            notifications: notifications?,
            operations,
            upload_folder: from.text("UPLOAD_FOLDER")?.into(),
            export_lifetime: Duration::from_secs(expiry_hours? * 3600),
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

    /// Where the database is, if it is a file.
    #[must_use]
    pub fn database_folder(&self) -> Option<PathBuf> {
        let file = self.database_url.expose_secret().strip_prefix("sqlite:")?;
        let path = file.trim_start_matches("//").split('?').next()?;
        std::path::Path::new(path).parent().map(std::path::Path::to_path_buf)
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
