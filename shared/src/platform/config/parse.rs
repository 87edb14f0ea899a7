//! Values of settings that are more than a number or a text. The errors complete a sentence such as "HTTP_ADDR …".

use std::net::{IpAddr, SocketAddr};

use chrono::NaiveTime;
use chrono_tz::Tz;
use ipnet::IpNet;
use secrecy::SecretString;

use crate::platform::db::parse_postgres_url;

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

pub(super) fn database_url(url: &str) -> Result<SecretString, String> {
    if url.starts_with("sqlite:") {
        return Ok(url.into());
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("must begin with sqlite: or postgres://".into());
    }
    parse_postgres_url(url).map(|_| url.into())
}

pub(super) fn redis_url(url: &str) -> Result<SecretString, &'static str> {
    let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
    let is_known = schemes.iter().any(|scheme| url.starts_with(scheme));
    is_known.then(|| url.into()).ok_or("must begin with redis://, rediss:// or unix://")
}

/// The URL of the database that many after the one in `url`.
pub(super) fn redis_url_after(url: &str, many: u8) -> Result<SecretString, String> {
    let mut url = url::Url::parse(url).map_err(|error| format!("is malformed: {error}"))?;
    if !["redis", "rediss"].contains(&url.scheme()) || !url.has_host() {
        return Err(
            "must begin with redis:// or rediss:// and a host; for a socket, set the URL of each database"
                .into(),
        );
    }
    let first = match url.path().trim_matches('/') {
        "" => Ok(0_u8),
        number => number.parse().map_err(|_| "must end with the number of a database, such as /0"),
    };
    let number = first?.checked_add(many).ok_or("must end with the number of a database, such as /0")?;
    url.set_path(&number.to_string());
    Ok(url.to_string().into())
}

/// Secrets separated by commas.
pub(super) fn secrets(text: &str) -> Result<Vec<SecretString>, &'static str> {
    let secrets: Vec<&str> = text.split(',').map(str::trim).collect();
    if secrets.iter().any(|secret| secret.len() < 32) {
        return Err(
            "must have at least 32 bytes; a comma separates several, each of which must be that long",
        );
    }
    Ok(secrets.into_iter().map(SecretString::from).collect())
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an address and a port such as 127.0.0.1:5000")
}

/// Networks; an address is a network of one.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split(',').map(str::trim).map(network).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.split_once('/') {
        // As the operating system writes them.
        Some((address, length)) if address.starts_with("::ffff:") && address.contains('.') => {
            let length = length.parse::<u8>().ok().and_then(|length| length.checked_sub(96));
            length.and_then(|length| format!("{}/{length}", &address[7..]).parse().ok())
        }
        Some(_) => text.parse().ok(),
        None => text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()),
    };
    network.ok_or_else(|| format!("\"{text}\" is not an IP address or a network such as 172.16.0.0/12"))
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
    let has_scheme = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    let is_page = has_scheme && url::Url::parse(text).is_ok_and(|url| url.has_host());
    is_page
        .then(|| text.to_owned())
        .ok_or("must begin with https:// or http://, such as https://parking.example.com")
}

/// An address to which paths are appended.
pub(super) fn public_url(text: &str) -> Result<String, &'static str> {
    if text.contains(['?', '#']) {
        return Err("must not have a ? or #, because paths are appended to it");
    }
    web_url(text).map(|url| url.trim_end_matches('/').to_owned())
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

    #[test]
    fn proxies_are_addresses_and_networks() {
        let found =
            |text: &str| networks(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let text = "127.0.0.1, 172.16.0.0/12,::1/128,fd00::/8 ,::ffff:10.0.0.1,::ffff:192.168.0.0/112";
        let expected =
            ["127.0.0.1/32", "172.16.0.0/12", "::1/128", "fd00::/8", "10.0.0.1/32", "192.168.0.0/16"];
        assert_eq!(found(text).unwrap(), expected);
        for wrong in [
            "172.16.0.0/33",
            "172.16/12",
            "proxy",
            "10.0.0.1,",
            "::1/129",
            "10.0.0.1:80",
            "::ffff:10.0.0.0/8",
            "/8",
        ] {
            assert!(networks(wrong).unwrap_err().contains("is not an IP address or a network"), "{wrong}");
        }
    }
}
