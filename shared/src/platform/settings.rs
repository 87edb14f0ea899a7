//! The table of settings: the help of the binaries, `.env.example` and the README are made from it.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The value when none is given; `None` where there is none.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default: Some(default), help }
}

const fn unset(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, help }
}

/// Every setting, in the order in which a newcomer meets them.
pub const SETTINGS: &[Setting] = &[
    unset(
        "JWT_SECRET_KEY",
        "Signs the login tokens: at least 32 bytes, the same for every process. Required to serve and to work",
    ),
    setting(
        "DATABASE_URL",
        "sqlite://data/parkade.db?mode=rwc",
        "The database: sqlite://PATH?mode=rwc or postgres://USER:PASSWORD@HOST/NAME",
    ),
    setting(
        "DATABASE_CONNECTIONS",
        "16",
        "Most connections of a process to the database; on PostgreSQL half as many more keep the books of jobs",
    ),
    setting(
        "REDIS_HOST",
        "127.0.0.1",
        "Redis server, for the three databases below where they are not given",
    ),
    setting("REDIS_PORT", "6379", "Port of the Redis server"),
    unset("REDIS_PASSWORD", "Password of the Redis server"),
    unset(
        "CACHE_REDIS_URL",
        "Redis database of caches and sessions; redis://REDIS_HOST:REDIS_PORT/0 when unset",
    ),
    unset("QUEUE_REDIS_URL", "Redis database of the job queues; …/1 when unset"),
    unset("CELERY_BROKER_URL", "The old name of QUEUE_REDIS_URL"),
    unset("NOTIFICATION_REDIS_URL", "Redis database of notification status; …/2 when unset"),
    unset(
        "REDIS_CA_FILE",
        "Authority of Redis servers with TLS, as PEM; the three databases have TLS then, or by rediss:// in their URLs",
    ),
    unset(
        "REDIS_SENTINELS",
        "Redis Sentinels, HOST:PORT separated by commas: they say where the server is, user and password come from above",
    ),
    setting("REDIS_SENTINEL_SERVICE", "mymaster", "What the Sentinels call the server"),
    unset("REDIS_SENTINEL_PASSWORD", "Password of the Sentinels themselves"),
    setting(
        "REDIS_SENTINEL_TLS",
        "false",
        "Whether the Sentinels themselves have TLS, under REDIS_CA_FILE if it is set",
    ),
    setting("REDIS_PREFIX", "parkade", "Begins every Redis key, so that installations can share a server"),
    setting("HTTP_ADDR", "127.0.0.1:5000", "Address and port of the API"),
    setting(
        "MAX_REQUESTS",
        "64",
        "Requests that an API process works on at once, fewer while they take long; more are told to come again. 0: no limit",
    ),
    setting(
        "DRAIN_SECONDS",
        "2",
        "At SIGTERM the API says for so long that it is not ready, and answers still, so that proxies notice",
    ),
    setting("PUBLIC_URL", "http://127.0.0.1:5000", "Where users reach the API: the links in mails"),
    setting(
        "CORS_ORIGINS",
        "http://localhost:5173,http://127.0.0.1:5173",
        "Web origins that may call the API, separated by commas",
    ),
    setting("APP_ENV", "development", "development, testing or production"),
    setting("APP_TIMEZONE", "Asia/Kolkata", "IANA time zone of times without offset, of days and of months"),
    setting("CURRENCY", "INR", "Currency code; prices have two decimal places"),
    setting("SESSION_HOURS", "12", "How long a login lasts"),
    setting("RESERVATION_MAX_HOURS", "720", "The longest window for which a spot can be reserved"),
    setting(
        "RESERVATION_NO_SHOW_MINUTES",
        "30",
        "A reserved spot is given up when nobody has come so long after the begin",
    ),
    setting(
        "CACHE_ENABLED",
        "true",
        "Keep answers and sessions in Redis; false reads all of it from the database",
    ),
    setting("CACHE_USER_TTL", "10", "Seconds that answers about users are cached at most"),
    setting("CACHE_PARKING_TTL", "10", "Seconds that answers about lots are cached at most"),
    setting("CACHE_RESERVATIONS_TTL", "120", "Seconds that a user's reservations are cached at most"),
    setting("CACHE_DEFAULT_TTL", "300", "Seconds that reports are cached at most"),
    setting("COUNTERS_ENABLED", "true", "Count calls, logins and the like in Redis"),
    setting("RATE_LIMIT_USER_READS", "50/3600", "Calls by seconds: reading users, for each user"),
    setting("RATE_LIMIT_LOGIN", "10/60", "Logins, for each address and for each account"),
    setting("RATE_LIMIT_REGISTER", "5/60", "Registrations, for each address"),
    setting("RATE_LIMIT_EXPORT", "10/3600", "Export requests, for each user"),
    setting("RATE_LIMIT_DEFAULT", "600/60", "Everything else, for each user or address"),
    unset(
        "TRUSTED_PROXIES",
        "Addresses of reverse proxies, separated by commas, whose X-Forwarded-For tells a caller's address",
    ),
    setting("ALLOW_RESET", "false", "Let administrators delete all data; never possible in production"),
    unset("ADMIN_EMAIL", "Mail address of the first administrator, made at start when absent"),
    unset("ADMIN_PASSWORD", "Password of the first administrator"),
    unset("MAIL_SERVER", "SMTP server; without one, mails are written to MAIL_FOLDER"),
    setting("MAIL_PORT", "587", "Port of the SMTP server"),
    setting("MAIL_USE_TLS", "true", "Require STARTTLS (true) or talk in clear (false)"),
    setting("MAIL_USE_SSL", "false", "Encrypt from the first byte instead, as port 465 always does"),
    unset("MAIL_CA_FILE", "PEM file of an authority to trust beside the public ones"),
    unset("MAIL_USERNAME", "Login at the SMTP server"),
    unset("MAIL_PASSWORD", "Password at the SMTP server"),
    setting("MAIL_DEFAULT_SENDER", "Parkade <parkade@localhost>", "Sender of the mails"),
    setting("MAIL_FOLDER", "data/mails", "Where mails go when there is no SMTP server"),
    setting("MAIL_RATE_LIMIT", "600/60", "Mails by seconds, of all workers together; more of them wait"),
    unset(
        "GOOGLE_CHAT_WEBHOOK_URL",
        "Webhook of a Google Chat space where administrators are told of things, too",
    ),
    unset("TWILIO_ACCOUNT_SID", "Account at Twilio; with one, bookings are confirmed by SMS, too"),
    unset("TWILIO_AUTH_TOKEN", "Its token"),
    unset("TWILIO_FROM", "The number that SMS come from"),
    setting("TWILIO_API_URL", "https://api.twilio.com", "Where Twilio answers"),
    setting("ALERT_DISK_PERCENT", "90", "Administrators are told when so much of a disk is used"),
    setting("UPLOAD_FOLDER", "temp_files", "Where export files are kept; API and worker share it"),
    setting("CSV_EXPORT_EXPIRY_HOURS", "24", "How long an export can be downloaded"),
    setting("DAILY_REMINDER_TIME", "18:00", "When reminders go out, in local time"),
    setting("REMINDER_LOGIN_DAYS", "7", "Who has not logged in for so many days is reminded"),
    setting("REMINDER_BOOKING_DAYS", "14", "Who has not booked for so many days is reminded"),
    setting("MONTHLY_REPORT_DAY", "1", "Day of the month on which the reports about the month before go out"),
    setting("MONTHLY_REPORT_TIME", "09:00", "When on that day, in local time"),
    setting("CLEANUP_TIME", "02:00", "When what nobody needs any more is removed, in local time"),
    setting("JOB_RETENTION_DAYS", "30", "How long ended jobs, and what they leave behind, are kept"),
    setting("WORKER_MAIL", "8", "Mails that a worker sends at once"),
    setting("WORKER_EXPORTS", "2", "Exports that a worker runs at once"),
    setting("WORKER_MAINTENANCE", "1", "Maintenance jobs that a worker runs at once"),
    unset("WORKER_METRICS_ADDR", "Address and port where a worker serves metrics for Prometheus"),
    unset("METRICS_ADDR", "Address and port where the API serves metrics for Prometheus"),
    unset(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Collector of OpenTelemetry that gets spans by OTLP over HTTP, such as http://127.0.0.1:4318",
    ),
    unset(
        "BACKUP_FOLDER",
        "Where parkade-api backup puts its files, and parkade-api doctor looks for the last one",
    ),
    setting("LOG_FORMAT", "text", "text, or json for one object a line"),
    setting(
        "LOG_LEVEL",
        "info",
        "What is logged: error, warn, info, debug, trace, or a filter such as shared=debug,info",
    ),
];

/// The settings as the last part of `--help`.
#[must_use]
pub fn help() -> String {
    SETTINGS.iter().fold(
        "Settings (environment, then .env in the working directory, then the file of --config):\n".to_owned(),
        |text, s| format!("{text}  {:<24}{} [{}]\n", s.name, s.help, s.default.unwrap_or("unset")),
    )
}

/// The settings as rows of a table, as the README has them.
#[must_use]
pub fn rows() -> Vec<String> {
    let row = |s: &Setting| {
        let default = s.default.map(|default| format!("`{default}`")).unwrap_or_default();
        format!("| `{}` | {default} | {} |", s.name, s.help)
    };
    SETTINGS.iter().map(row).collect()
}

/// The settings as `.env.example`, which the repository keeps and a test compares.
#[must_use]
pub fn env_example() -> String {
    SETTINGS.iter().fold(
        "# Every setting with its default. Copy to .env and change what you need.\n".to_owned(),
        |text, s| match s.default {
            Some(default) => format!("{text}\n# {}\n# {}={default:?}\n", s.help, s.name),
            None => format!("{text}\n# {}\n# {}=\n", s.help, s.name),
        },
    )
}
