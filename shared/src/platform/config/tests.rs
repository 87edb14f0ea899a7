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
    assert!(config.jwt_secret().unwrap_err().to_string().contains("JWT_SECRET_KEY"));
}

#[test]
fn every_action_has_a_default_budget() {
    let budgets = load(&[]).unwrap().rate_limits.map(|budget| (budget.calls, budget.window.as_secs()));
    assert_eq!(budgets, [(50, 3600), (10, 60), (5, 60), (5, 3600), (10, 3600), (600, 60), (600, 60)]);
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
fn several_database_hosts_are_refused_with_the_reason() {
    for url in ["postgres://h1,h2/db?target_session_attrs=read-write", "postgresql://u:p@h1:5432,h2:5432/db"]
    {
        let problems = load(&[("DATABASE_URL", url)]).unwrap_err().to_string();
        assert!(problems.contains("must name one host"), "{problems}");
    }
    for url in
        ["postgres://u,v:p,q@h1/db", "postgres://[::1]/db?target_session_attrs=read-write", "sqlite://a,b.db"]
    {
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
fn sentinels_are_hosts_with_ports() {
    let config = load(&[("REDIS_SENTINELS", "one:26379, [::1]:26380")]).unwrap();
    let expected = [("one".to_owned(), 26379), ("[::1]".to_owned(), 26380)];
    assert_eq!(config.redis_servers.sentinels, expected);
    assert_eq!(config.redis_servers.sentinel_service, "mymaster");
    for wrong in ["one", "one:", ":26379", "one:port", "one:26379,,two:26379"] {
        assert!(load(&[("REDIS_SENTINELS", wrong)]).is_err(), "{wrong}");
    }
}
