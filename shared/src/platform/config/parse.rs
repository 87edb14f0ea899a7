//! Values of settings that are more than a number or a text. The errors complete a sentence such as "HTTP_ADDR …".

use std::net::{IpAddr, SocketAddr};

use chrono::NaiveTime;
use chrono_tz::Tz;
use secrecy::SecretString;

pub(super) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}

pub(super) fn time_of_day(text: &str) -> Result<NaiveTime, &'static str> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| "must be a time of day such as 18:00")
}

pub(super) fn zone(text: &str) -> Result<Tz, &'static str> {
    text.parse().map_err(|_| "must be a time zone of the IANA database such as Asia/Kolkata")
}

/// `true` for JSON.
pub(super) fn log_format(text: &str) -> Result<bool, &'static str> {
    match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("must be text or json"),
    }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    let filter = tracing_subscriber::EnvFilter::try_new(text);
    filter.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(super) fn database_url(url: &str) -> Result<SecretString, &'static str> {
    let is_known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    is_known.then(|| url.into()).ok_or("must begin with sqlite: or postgres://")
}

pub(super) fn redis_url(url: &str) -> Result<SecretString, &'static str> {
    let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
    let is_known = schemes.iter().any(|scheme| url.starts_with(scheme));
    is_known.then(|| url.into()).ok_or("must begin with redis://, rediss:// or unix://")
}

pub(super) fn jwt_secret(key: &str) -> Result<SecretString, &'static str> {
    if key.len() >= 32 { Ok(key.into()) } else { Err("must have at least 32 bytes") }
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an address and a port such as 127.0.0.1:5000")
}

pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, &'static str> {
    let read = |address: &str| address.trim().parse::<IpAddr>().map(|address| address.to_canonical());
    let addresses: Result<_, _> = text.split(',').map(read).collect();
    addresses.map_err(|_| "must be IP addresses, separated by commas")
}

pub(super) fn hosts(text: &str) -> Result<Vec<(String, u16)>, &'static str> {
    let host = |text: &str| {
        let (host, port) = text.trim().rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    };
    let hosts: Option<Vec<_>> = text.split(',').map(host).collect();
    hosts.ok_or("must be hosts with ports such as sentinel-1:26379, separated by commas")
}

/// Web origins, as browsers send them.
pub(super) fn origins(text: &str) -> Result<Vec<String>, &'static str> {
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

/// A server that a token may be sent to.
pub(super) fn api_url(text: &str) -> Result<String, &'static str> {
    let url = text.trim_end_matches('/');
    let host = |scheme: &str| {
        url.strip_prefix(scheme).filter(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#']))
    };
    let is_this_machine = |host: &str| matches!(host.split(':').next(), Some("127.0.0.1" | "localhost"));
    if host("https://").is_some() || host("http://").is_some_and(is_this_machine) {
        Ok(url.to_owned())
    } else {
        Err("must be https:// and a host, without a path; http:// is allowed only for this machine")
    }
}

/// An address that people open.
pub(super) fn web_url(text: &str) -> Result<String, &'static str> {
    let is_page =
        url::Url::parse(text).is_ok_and(|url| ["https", "http"].contains(&url.scheme()) && url.has_host());
    is_page.then(|| text.to_owned()).ok_or("must be an address such as https://parking.example.com")
}

pub(super) fn collector_url(url: &str) -> Result<String, &'static str> {
    let is_url =
        ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    is_url.then(|| url.trim_end_matches('/').to_owned()).ok_or("must begin with http:// or https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_never_sent_unencrypted() {
        for url in [
            "https://api.twilio.com",
            "https://api.twilio.com/",
            "http://127.0.0.1:8080",
            "http://localhost:1",
        ] {
            assert_eq!(api_url(url), Ok(url.trim_end_matches('/').to_owned()));
        }
        for url in [
            "http://api.twilio.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "https://",
            "ftp://x",
            "api.twilio.com",
            "https://u:p@api.twilio.com",
            "https://api.twilio.com/x",
            "http://127.0.0.1:80@example.com",
        ] {
            assert!(api_url(url).is_err(), "{url}");
        }
    }
}
