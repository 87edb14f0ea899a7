//! The table of settings. `--help`, `.env.example` and `docs/SETTINGS.md` are made from it.

pub use super::setting::Setting;
use super::setting::{number, secret, text, unset};

/// The headings of the documents, each with the first setting below it.
const GROUPS: &[(&str, &str)] = &[
    ("Required", "JWT_SECRET_KEY"),
    ("Database", "DATABASE_URL"),
    ("Redis", "REDIS_HOST"),
    ("API", "HTTP_ADDR"),
    ("General", "APP_ENV"),
    ("Accounts and bookings", "SESSION_HOURS"),
    ("Cache and counters", "CACHE_ENABLED"),
    ("Rate limits", "RATE_LIMIT_USER_READS"),
    ("Mail", "MAIL_SERVER"),
    ("Chat, SMS and alerts", "GOOGLE_CHAT_WEBHOOK_URL"),
    ("Exports, schedules and retention", "UPLOAD_FOLDER"),
    ("Workers", "WORKER_MAIL"),
    ("Monitoring, backups and logs", "METRICS_ADDR"),
];

/// Every setting, in the order of the documents.
pub const SETTINGS: &[Setting] = &[
    secret(unset(
        "JWT_SECRET_KEY",
        "Secret that signs login tokens: at least 32 bytes, the same for every process. Of several, separated by commas, the first signs and all verify",
    )),
    secret(unset(
        "APP_SECRET",
        "Secret from which all other keys are derived, such as those of links in mails: at least 32 bytes, the same for every process. If unset, the database keeps a random one",
    )),
    secret(text(
        "DATABASE_URL",
        "sqlite://data/parkade.db?mode=rwc",
        "sqlite://PATH?mode=rwc or postgres://USER:PASSWORD@HOST/NAME; several hosts are separated by commas",
    )),
    number(
        "DATABASE_CONNECTIONS",
        "16",
        (1, 1000),
        "Maximum database connections per process; on PostgreSQL, half as many again are opened for job bookkeeping",
    ),
    text("REDIS_HOST", "127.0.0.1", "Redis server; used for each of the three URLs below that is not set"),
    number("REDIS_PORT", "6379", (1, 65535), "Port of the Redis server"),
    secret(unset("REDIS_PASSWORD", "Password of the Redis server")),
    secret(unset(
        "REDIS_URL",
        "redis://USER:PASSWORD@HOST:PORT/N instead of these; N+1 and N+2 are used, too",
    )),
    secret(unset(
        "CACHE_REDIS_URL",
        "Redis database for caches, sessions, counters and rate limits; redis://REDIS_HOST:REDIS_PORT/0 if unset",
    )),
    secret(unset(
        "QUEUE_REDIS_URL",
        "Redis database for job queues and job status; redis://REDIS_HOST:REDIS_PORT/1 if unset",
    )),
    secret(unset(
        "CELERY_BROKER_URL",
        "Name that QUEUE_REDIS_URL had in the system that Parkade replaces; used if that is unset",
    )),
    secret(unset(
        "NOTIFICATION_REDIS_URL",
        "Redis database for delivery status; redis://REDIS_HOST:REDIS_PORT/2 if unset",
    )),
    unset(
        "REDIS_CA_FILE",
        "PEM file of the authority that signed the Redis server's certificate; turns TLS on for URLs made from REDIS_HOST",
    ),
    unset(
        "REDIS_SENTINELS",
        "Redis Sentinels as HOST:PORT, separated by commas; they supply the server's address, and the settings above its user, password and database",
    ),
    text("REDIS_SENTINEL_SERVICE", "mymaster", "Name under which the Sentinels monitor the server"),
    secret(unset("REDIS_SENTINEL_PASSWORD", "Password of the Sentinels")),
    text(
        "REDIS_SENTINEL_TLS",
        "false",
        "Connect to the Sentinels over TLS; REDIS_CA_FILE applies to them, too",
    ),
    text(
        "REDIS_PREFIX",
        "parkade",
        "Prefix of every Redis key, so that several installations can share a server",
    ),
    text("HTTP_ADDR", "127.0.0.1:5000", "Address and port that the API listens on"),
    number(
        "MAX_REQUESTS",
        "64",
        (0, 100000),
        "Maximum concurrent requests per API process; the limit adapts downwards while requests are slow, and excess requests get 503 with Retry-After. 0 means no limit",
    ),
    number(
        "DRAIN_SECONDS",
        "2",
        (0, 60),
        "Seconds after SIGTERM during which the API reports that it is not ready but still accepts requests",
    ),
    text(
        "PUBLIC_URL",
        "http://127.0.0.1:5000",
        "URL at which users reach the API, with http:// or https://; used for links in mails",
    ),
    unset(
        "WEB_URL",
        "URL of the web client, to which mails send people who want to book; by default the start page of PUBLIC_URL",
    ),
    text(
        "CORS_ORIGINS",
        "http://localhost:5173,http://127.0.0.1:5173",
        "Web origins that may call the API, separated by commas",
    ),
    unset(
        "TRUSTED_PROXIES",
        "IP addresses and networks (172.16.0.0/12) of reverse proxies, separated by commas. X-Forwarded-For says who called them or, if that header is missing, Forwarded does",
    ),
    text("APP_ENV", "development", "development, testing or production"),
    text(
        "APP_TIMEZONE",
        "Asia/Kolkata",
        "IANA time zone for times without an offset, for calendar days and for schedules",
    ),
    text(
        "CURRENCY",
        "INR",
        "Currency code (ISO 4217), which says how many decimal places amounts have; fixed by the first start",
    ),
    number("SESSION_HOURS", "12", (1, 8760), "Hours that a login lasts unless it is extended"),
    number("SESSION_MAX_DAYS", "30", (1, 3650), "Days after which a login cannot be extended any more"),
    number(
        "MAX_UNPAID_STAYS",
        "0",
        (0, 1000),
        "Unpaid stays with which a driver cannot make new reservations; 0 for no limit",
    ),
    text(
        "REQUIRE_VERIFIED_EMAIL",
        "false",
        "Only drivers who have verified their mail address can make new reservations, and get SMS",
    ),
    text(
        "REQUIRE_ADMIN_TOTP",
        "false",
        "Administrators can do nothing as such before they have turned on a second factor",
    ),
    unset(
        "ADMIN_EMAIL",
        "Mail address of the first administrator, created when the API starts unless it exists; needs ADMIN_PASSWORD",
    ),
    secret(unset("ADMIN_PASSWORD", "Password of the first administrator; must be hard to guess")),
    text(
        "PHONE_COUNTRY",
        "IN",
        "Country of phone numbers that are entered without a country code: two capital letters (ISO 3166)",
    ),
    number("RESERVATION_MAX_HOURS", "720", (1, 8760), "Maximum length of a reservation in hours"),
    number(
        "RESERVATION_NO_SHOW_MINUTES",
        "30",
        (1, 1440),
        "Minutes after the start of a reservation until it expires if the driver has not arrived",
    ),
    number(
        "WALK_IN_PROTECTION_MINUTES",
        "120",
        (0, 1440),
        "Minutes before the start of a reservation during which drivers without one must leave a spot for it",
    ),
    number(
        "TYPICAL_STAY_MINUTES",
        "120",
        (1, 10080),
        "Minutes after which a driver without a reservation is expected to leave, when reservations are planned",
    ),
    number("EARLY_ARRIVAL_MINUTES", "15", (0, 1440), "Minutes that a driver may arrive before a reservation"),
    number("MAX_OPEN_RESERVATIONS", "3", (1, 1000), "Reservations that a driver may have waiting"),
    number(
        "MAX_OVERLAPPING_RESERVATIONS",
        "1",
        (1, 1000),
        "Reservations of a driver that may overlap; for this, each begins WALK_IN_PROTECTION_MINUTES earlier",
    ),
    number("MAX_DAYS_AHEAD", "90", (1, 365), "Days ahead that a driver may reserve"),
    number(
        "MAX_NO_SHOWS",
        "3",
        (1, 1000),
        "Missed reservations within 30 days after which a driver cannot reserve until the oldest is 30 days old",
    ),
    number(
        "MAX_CONFIRMATIONS_PER_HOUR",
        "30",
        (1, 100000),
        "Booking confirmations mailed to a driver per hour",
    ),
    number("MAX_SMS_PER_DAY", "5", (1, 100000), "SMS sent to a driver per day"),
    text("ALLOW_RESET", "false", "Allow administrators to delete all data; always refused in production"),
    text(
        "CACHE_ENABLED",
        "true",
        "Cache responses and sessions in Redis; if false, everything is read from the database",
    ),
    number("CACHE_USER_TTL", "10", (1, 3600), "Maximum age in seconds of cached responses about users"),
    number("CACHE_PARKING_TTL", "10", (1, 3600), "Maximum age in seconds of cached responses about lots"),
    number("CACHE_RESERVATIONS_TTL", "120", (1, 3600), "Maximum age in seconds of cached reservation lists"),
    number("CACHE_DEFAULT_TTL", "300", (1, 3600), "Maximum age in seconds of cached reports"),
    text("COUNTERS_ENABLED", "true", "Count API calls, logins and other events in Redis"),
    text("RATE_LIMIT_USER_READS", "50/3600", "Reads of user accounts, per user"),
    text("RATE_LIMIT_LOGIN", "10/60", "Wrong passwords, per address, and per account and address"),
    text("RATE_LIMIT_REGISTER", "5/60", "Registrations, per address"),
    text(
        "RATE_LIMIT_PASSWORD_RESET",
        "5/3600",
        "Requests for a mail that resets a password, per address and per account",
    ),
    text("RATE_LIMIT_PHONE_CODE", "5/3600", "Requests for a code by SMS, per address and per account"),
    text("RATE_LIMIT_EXPORT", "10/3600", "Export requests, per user"),
    text("RATE_LIMIT_DEFAULT", "600/60", "All other calls, per user or per address"),
    unset("MAIL_SERVER", "SMTP server; if unset, mails are written to MAIL_FOLDER as files"),
    number("MAIL_PORT", "587", (1, 65535), "Port of the SMTP server"),
    text("MAIL_USE_TLS", "true", "Require STARTTLS; false sends in clear text"),
    text("MAIL_USE_SSL", "false", "Use TLS from the first byte instead of STARTTLS; always on for port 465"),
    unset("MAIL_CA_FILE", "PEM file of a certificate authority to trust in addition to the public ones"),
    unset("MAIL_USERNAME", "User name at the SMTP server; needs MAIL_PASSWORD"),
    secret(unset("MAIL_PASSWORD", "Password at the SMTP server")),
    unset(
        "MAIL_EHLO_NAME",
        "Host name with which Parkade introduces itself to the SMTP server; the name of the machine if unset",
    ),
    text("MAIL_DEFAULT_SENDER", "Parkade <parkade@localhost>", "Sender of all mails"),
    text("MAIL_FOLDER", "data/mails", "Folder for mails when there is no SMTP server"),
    text("MAIL_RATE_LIMIT", "600/60", "Mails sent by all workers together; more of them wait"),
    secret(unset(
        "GOOGLE_CHAT_WEBHOOK_URL",
        "Google Chat webhook for messages to administrators; must start with https://chat.googleapis.com/",
    )),
    unset(
        "TWILIO_ACCOUNT_SID",
        "Twilio account; if set, bookings are also confirmed by SMS to verified numbers. The three TWILIO_ settings go together",
    ),
    secret(unset("TWILIO_AUTH_TOKEN", "Auth token of the Twilio account")),
    unset("TWILIO_FROM", "Phone number that SMS are sent from"),
    text(
        "TWILIO_API_URL",
        "https://api.twilio.com",
        "URL of the Twilio API; must be https unless it is on this machine",
    ),
    number("ALERT_DISK_PERCENT", "90", (1, 100), "Disk usage in percent at which administrators are alerted"),
    text("UPLOAD_FOLDER", "temp_files", "Folder for export files, shared by the API and all workers"),
    number("CSV_EXPORT_EXPIRY_HOURS", "24", (1, 8760), "Hours for which an export can be downloaded"),
    text("DAILY_REMINDER_TIME", "18:00", "Local time at which reminders are sent"),
    number("REMINDER_LOGIN_DAYS", "7", (1, 3650), "Days without a login after which a user is reminded"),
    number("REMINDER_BOOKING_DAYS", "14", (1, 3650), "Days without a booking after which a user is reminded"),
    number(
        "MONTHLY_REPORT_DAY",
        "1",
        (1, 28),
        "Day of the month on which reports about the previous month are sent",
    ),
    text("MONTHLY_REPORT_TIME", "09:00", "Local time at which monthly reports are sent"),
    text("CLEANUP_TIME", "02:00", "Local time at which expired data is removed"),
    number("JOB_RETENTION_DAYS", "30", (1, 3650), "Days for which finished jobs and their records are kept"),
    number("WORKER_MAIL", "8", (1, 64), "Mail jobs that a worker runs at the same time"),
    number("WORKER_EXPORTS", "2", (1, 16), "Export jobs that a worker runs at the same time"),
    number("WORKER_MAINTENANCE", "1", (1, 16), "Maintenance jobs that a worker runs at the same time"),
    unset("METRICS_ADDR", "Address and port where the API serves Prometheus metrics"),
    unset("WORKER_METRICS_ADDR", "Address and port where a worker serves Prometheus metrics and its health"),
    unset(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OpenTelemetry collector that receives spans by OTLP over HTTP, such as http://127.0.0.1:4318",
    ),
    unset(
        "BACKUP_FOLDER",
        "Folder where parkade-api backup writes its files and parkade-api doctor looks for the latest one",
    ),
    text("LOG_FORMAT", "text", "text, or json for one object per line"),
    text("LOG_LEVEL", "info", "error, warn, info, debug, trace, or a filter such as shared=debug,info"),
];

/// The heading that stands in front of a setting.
fn heading(setting: &Setting) -> Option<&'static str> {
    GROUPS.iter().find(|(_, first)| *first == setting.name).map(|(heading, _)| *heading)
}

/// The settings as the last part of `--help`.
#[must_use]
pub fn help() -> String {
    let intro = "Settings, from the environment, then .env in the working directory, then the file of --config. Secrets may come from \
         files: JWT_SECRET_KEY_FILE names one with the value of JWT_SECRET_KEY:\n";
    let width = SETTINGS.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    SETTINGS.iter().fold(intro.to_owned(), |text, setting| {
        let (name, help) = (setting.name, setting.full_help());
        format!("{text}  {name:<width$}  {help} [{}]\n", setting.default.unwrap_or("unset"))
    })
}

/// The settings as `docs/SETTINGS.md`.
#[must_use]
pub fn markdown() -> String {
    let secrets: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| setting.is_secret)
        .skip(1)
        .map(|s| format!("`{}`", s.name))
        .collect();
    let introduction = INTRODUCTION.replace("SECRETS", &secrets.join(", "));
    SETTINGS.iter().fold(introduction, |text, setting| {
        let heading = heading(setting)
            .map(|heading| format!("\n## {heading}\n\n| Setting | Default | Meaning |\n|---|---|---|\n"));
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let heading = heading.unwrap_or_default();
        format!("{text}{heading}| `{}` | {default} | {} |\n", setting.name, setting.full_help())
    })
}

const INTRODUCTION: &str = "# Settings

<!-- Generated by `parkade-api config docs` from the table in `shared/src/platform/settings.rs`. -->

Settings are read from the environment, then from `.env` in the working directory, then from the file named by `--config`. The
first source that has a non-empty value wins. `.env.example` lists every setting with its default. A value that cannot be used,
or an unknown name in a file, stops the program at start, and all problems are reported at once with their source.
`parkade-api config check` does only that. A name in the environment that is nearly that of a setting is reported in the log.

Files have one `NAME=VALUE` per line, and comments on lines that begin with `#`. They are read as Docker Compose (`env_file`) and
systemd (`EnvironmentFile`) read them, and what these read differently is refused with its line: put a value with `$`, `\\`, ` #`
or spaces at its ends in single quotes (`ADMIN_PASSWORD='SummerTime$ecret2026'`), one with a single quote in double quotes. A
value that needs both must come from the environment. There are no escapes, `export`, line breaks in values or repeated names.

Secrets may be in files, as with Docker secrets: `JWT_SECRET_KEY_FILE` names a file whose content is the value of `JWT_SECRET_KEY`. The
same goes for SECRETS.

A rate limit is `CALLS/SECONDS`, such as `10/60`: 1 to 10,000,000 calls in 1 to 86,400 seconds. A switch is `true` or `false`.
Relative paths start at the working directory. `JWT_SECRET_KEY` is required by `parkade-api serve`, `parkade-worker run` and
`parkade-api config check`.
";

/// The settings as `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let intro = "# Every setting with its default. Copy this file to .env and change what you need.\n\
                 # A secret may be in a file: JWT_SECRET_KEY_FILE names one with the value of JWT_SECRET_KEY.\n";
    SETTINGS.iter().fold(intro.to_owned(), |text, setting| {
        let heading = heading(setting).map(|heading| format!("\n# --- {heading} ---\n")).unwrap_or_default();
        let default = setting.default.map(|default| format!("{default:?}")).unwrap_or_default();
        format!("{text}{heading}\n# {}\n# {}={default}\n", setting.full_help(), setting.name)
    })
}
