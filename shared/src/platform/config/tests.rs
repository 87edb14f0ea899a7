//! Defaults, sources and problems of the settings.

use secrecy::ExposeSecret;

use super::{Cache, Config, Problems, Sources};

fn load(values: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::load(Sources::of(values.iter().copied()))
}

#[test]
fn the_defaults_are_enough() {
    let config = load(&[]).unwrap();
    assert_eq!(config.http_addr.to_string(), "127.0.0.1:5000");
    assert_eq!(config.queue_redis_url.expose_secret(), "redis://127.0.0.1:6379/1");
    assert!(config.require_jwt_keys().unwrap_err().to_string().contains("JWT_SECRET_KEY"));
}

#[test]
fn every_action_has_a_default_budget() {
    let budgets = load(&[]).unwrap().rate_limits.map(|budget| (budget.calls, budget.window.as_secs()));
    assert_eq!(
        budgets,
        [(50, 3600), (10, 60), (5, 60), (5, 3600), (5, 3600), (10, 3600), (600, 60), (600, 60)]
    );
}

#[test]
fn default_cache_lifetimes_are_seconds_or_minutes() {
    let Cache { is_enabled, users, parking, reservations, reports } = load(&[]).unwrap().cache;
    assert!(is_enabled);
    assert_eq!([users, parking, reservations, reports].map(|ttl| ttl.as_secs()), [10, 10, 120, 300]);
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
        ("CORS_ORIGINS", "*"),
        ("LOG_LEVEL", "shared=loud=very"),
    ])
    .unwrap_err();
    let text = problems.to_string();
    for name in [
        "HTTP_ADDR",
        "APP_TIMEZONE",
        "JWT_SECRET_KEY",
        "MAIL_USE_TLS",
        "ADMIN_EMAIL",
        "NO_SUCH",
        "CORS_ORIGINS",
        "LOG_LEVEL",
    ] {
        assert!(text.contains(&format!("{name} (from the given values)")), "{name} in {text}");
    }
    assert!(!text.contains("short"), "a secret is not shown");
}

#[test]
fn redis_urls_are_built_from_host_port_and_password() {
    let config =
        load(&[("REDIS_HOST", "cache"), ("REDIS_PORT", "6380"), ("REDIS_PASSWORD", "p@ss/word")]).unwrap();
    assert_eq!(config.notification_redis_url.expose_secret(), "redis://:p%40ss%2Fword@cache:6380/2");
    let config = load(&[("REDIS_CA_FILE", "ca.pem")]).unwrap();
    assert_eq!(config.cache_redis_url.expose_secret(), "rediss://127.0.0.1:6379/0");
    let config = load(&[("CELERY_BROKER_URL", "redis://broker:6379/5")]).unwrap();
    assert_eq!(config.queue_redis_url.expose_secret(), "redis://broker:6379/5");
}

#[test]
fn one_redis_url_names_three_databases() {
    for (given, expected) in [
        ("redis://pk:p%40ss@cache:6380/0", "redis://pk:p%40ss@cache:6380/"),
        ("rediss://:p%23%2F@[::1]/3", "rediss://:p%23%2F@[::1]/"),
        ("redis://cache", "redis://cache/"),
    ] {
        let config = load(&[("REDIS_URL", given), ("REDIS_HOST", "ignored")]).unwrap();
        let first = if given.ends_with("/3") { 3 } else { 0 };
        let urls = [config.cache_redis_url, config.queue_redis_url, config.notification_redis_url];
        for (number, url) in (first..).zip(urls) {
            assert_eq!(url.expose_secret(), format!("{expected}{number}"));
            assert!(redis::Client::open(url.expose_secret()).is_ok(), "{given}");
        }
    }
    let own = [("REDIS_URL", "redis://a/0"), ("QUEUE_REDIS_URL", "redis://b/7")];
    assert_eq!(load(&own).unwrap().queue_redis_url.expose_secret(), "redis://b/7");
    for wrong in ["cache:6379", "http://cache", "redis://cache/x", "redis://cache/255", "unix:///redis.sock"]
    {
        let problems = load(&[("REDIS_URL", wrong)]).unwrap_err().to_string();
        assert!(problems.contains("REDIS_URL"), "{wrong}: {problems}");
    }
}

#[test]
fn redis_hosts_may_be_ipv6_addresses() {
    for host in ["::1", "[::1]"] {
        let url = load(&[("REDIS_HOST", host), ("REDIS_PASSWORD", "a:b")]).unwrap().queue_redis_url;
        assert_eq!(url.expose_secret(), "redis://:a%3Ab@[::1]:6379/1", "{host}");
        assert!(redis::Client::open(url.expose_secret()).is_ok(), "{host}");
    }
}

#[test]
fn public_url_needs_a_scheme_and_no_query() {
    for (text, expected) in [
        ("https://parking.example.com/", "https://parking.example.com"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("https://example.com/parking/", "https://example.com/parking"),
    ] {
        assert_eq!(load(&[("PUBLIC_URL", text)]).unwrap().public_url, expected);
    }
    for (wrong, reason) in [
        ("parking.example.com", "https://"),
        ("parking.example.com:5000", "https://"),
        ("//parking.example.com", "https://"),
        ("https:parking.example.com", "https://"),
        ("ftp://parking.example.com", "https://"),
        ("https://", "https://"),
        ("https://parking.example.com/?x=1", "must not have a ?"),
    ] {
        let problems = load(&[("PUBLIC_URL", wrong)]).unwrap_err().to_string();
        assert!(problems.contains("PUBLIC_URL") && problems.contains(reason), "{wrong}: {problems}");
    }
}

#[test]
fn database_urls_that_cannot_be_written_to_are_refused() {
    for (url, reason) in [
        ("postgres://h1,h2/db?target_session_attrs=standby", "target_session_attrs=read-write"),
        ("mysql://h1/db", "must begin with sqlite: or postgres://"),
        ("postgres://u:secret@h1:port/db", "is malformed"),
    ] {
        let problems = load(&[("DATABASE_URL", url)]).unwrap_err().to_string();
        assert!(problems.contains(reason) && !problems.contains("secret"), "{problems}");
    }
    for url in ["postgres://h1,h2/db?target_session_attrs=read-write", "sqlite://a,b.db"] {
        load(&[("DATABASE_URL", url)]).unwrap();
    }
}

/// Defect 51.
#[test]
fn mail_tls_is_read_in_any_case() {
    for (text, expected) in [("True", true), ("true", true), ("FALSE", false), ("0", false)] {
        assert_eq!(load(&[("MAIL_USE_TLS", text)]).unwrap().mail.use_tls, expected, "{text}");
    }
}

#[test]
fn a_settings_file_overrides_defaults() {
    for (environment, seconds) in [("development", 10), ("testing", 5), ("production", 300)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("APP_ENV={environment}\nCACHE_USER_TTL={seconds}\n")).unwrap();
        let config = Config::load(Sources::read(Some(file.path()))).unwrap();
        assert_eq!(config.cache.users.as_secs(), seconds, "{environment}");
        assert_eq!(config.environment, environment.parse().unwrap());
    }
}

#[test]
fn malformed_lines_are_not_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "CURRENCY=INR\nADMIN_PASSWORD=\"correct $horse battery\"\n").unwrap();
    let problems = Config::load(Sources::read(Some(file.path()))).unwrap_err().to_string();
    assert!(problems.contains(": line 2: "), "{problems}");
    assert!(!problems.contains("horse"), "{problems}");
}

#[test]
fn several_keys_are_separated_by_commas() {
    let (one, two) = ("1".repeat(32), "2".repeat(32));
    let config = load(&[("JWT_SECRET_KEY", &format!("{one}, {two}")), ("APP_SECRET", &two)]).unwrap();
    let exposed = |secrets: &[secrecy::SecretString]| -> Vec<String> {
        secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    };
    assert_eq!(exposed(&config.jwt_keys), [one.clone(), two.clone()]);
    assert_eq!(exposed(&config.app_secrets), [two]);
    for wrong in [format!("{one},"), format!("{one},short"), ",".to_owned()] {
        let problems = load(&[("JWT_SECRET_KEY", &wrong)]).unwrap_err().to_string();
        assert!(problems.contains("32 bytes") && !problems.contains("1111"), "{problems}");
    }
}

#[test]
fn secrets_may_be_in_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for setting in super::SETTINGS.iter().filter(|setting| setting.is_secret) {
        let value = match setting.name {
            "DATABASE_URL" => "sqlite::memory:".to_owned(),
            name if name.ends_with("_URL") && name.contains("WEBHOOK") => {
                "https://chat.googleapis.com/v1/x".to_owned()
            }
            name if name.ends_with("_URL") => "redis://:in-a-file@cache:6379/7".to_owned(),
            _ => "in a file: ".repeat(4),
        };
        std::fs::write(file.path(), format!("{value}\n")).unwrap();
        let mut sources = Sources::of([(setting.file_name().unwrap(), path)]);
        assert_eq!(sources.text(setting.name).as_deref(), Some(value.trim()), "{}", setting.name);
        assert!(sources.problems.is_empty(), "{:?}", sources.problems);
        sources.problem(setting.name, "is wrong");
        assert!(!sources.problems[0].contains("in a file: in"), "{:?}", sources.problems);
    }
    for setting in ["HTTP_ADDR_FILE", "JWT_SECRET_KEY_FILE_FILE", "_FILE"] {
        assert!(load(&[(setting, path)]).unwrap_err().to_string().contains("is not a setting"), "{setting}");
    }
}

#[test]
fn unusable_files_of_secrets_are_named() {
    let (empty, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    let missing = folder.path().join("missing");
    for path in [empty.path(), folder.path(), &missing] {
        let path = path.to_str().unwrap();
        let problems = load(&[("MAIL_PASSWORD_FILE", path)]).unwrap_err().to_string();
        assert!(problems.contains("MAIL_PASSWORD_FILE") && problems.contains(path), "{problems}");
    }
    let both = [("REDIS_PASSWORD", "x"), ("REDIS_PASSWORD_FILE", missing.to_str().unwrap())];
    for both in [both, [both[1], both[0]]] {
        assert!(load(&both).unwrap_err().to_string().contains("set one of them"), "{both:?}");
    }
}

#[test]
fn sentinels_are_hosts_with_ports() {
    let config = load(&[("REDIS_SENTINELS", "one:26379, [::1]:26380")]).unwrap();
    let expected = [("one".to_owned(), 26379), ("[::1]".to_owned(), 26380)];
    assert_eq!(config.redis_servers.sentinels, expected);
    assert_eq!(config.redis_servers.sentinel_service, "mymaster");
    for wrong in ["one", "one:", ":26379", "one:port", "one:26379,,two:26379"] {
        assert!(load(&[("REDIS_SENTINELS", wrong)]).is_err(), "{wrong}");
    }
}
