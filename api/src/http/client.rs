//! The address of the client, also behind proxies.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use shared::{parking::accounts::session, platform::config::IpNet};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(crate) Option<IpAddr>);

/// Address and program of a client that logs in.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) session::Client);

impl Address {
    /// Each proxy appends the address it saw, so only what trusted proxies appended is reliable: the client is the last address
    /// that is not one of them. Clients whose address cannot be read share that of the proxy.
    pub(crate) fn of(proxies: &[IpNet], headers: &HeaderMap, peer: Option<SocketAddr>) -> Self {
        let mut hops = hops(headers);
        let mut address = peer.map(|peer| peer.ip().to_canonical());
        while address.is_some_and(|address| proxies.iter().any(|network| network.contains(&address)))
            && let Some(Some(hop)) = hops.next()
        {
            address = Some(hop);
        }
        Self(address)
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<Address>().and_then(|address| address.0);
        Ok(Self(session::Client { address, user_agent: user_agent.map(ToOwned::to_owned) }))
    }
}

/// The addresses that proxies appended, the last first. Most proxies append to `X-Forwarded-For` only and pass on `Forwarded` as
/// it came, so `Forwarded` counts only without the other.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = if headers.contains_key(X_FORWARDED_FOR) {
        (X_FORWARDED_FOR, node)
    } else {
        (header::FORWARDED, forwarded)
    };
    headers.get_all(name).iter().rev().flat_map(move |line| {
        let line = String::from_utf8_lossy(line.as_bytes());
        let hops = line.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty());
        hops.map(read).collect::<Vec<_>>()
    })
}

/// The `for` of an element of `Forwarded` (RFC 7239, 4). A part of a quoted text with commas is not read, because clients choose
/// what is in `host`.
fn forwarded(element: &str) -> Option<IpAddr> {
    if element.contains('\\') || element.matches('"').count() % 2 == 1 {
        return None;
    }
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).and_then(|(_, value)| node(value.trim()))
}

/// An address in any form that proxies use: with a port, in brackets, in quotes, or with an IPv6 zone.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    let address = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(address)?
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let proxies =
            ["127.0.0.1/32", "::1/128", "172.16.0.0/12", "fd00::/8"].map(|network| network.parse().unwrap());
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers = lines.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        let address = Address::of(&proxies, &headers, Some(SocketAddr::new(peer.parse().unwrap(), 50007)));
        address.0.unwrap().to_string()
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:50007", "203.0.113.7"),
            ("\"203.0.113.7:50007\"", "203.0.113.7"),
            ("[203.0.113.7]:50007", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:50007", "2001:db8::7"),
            ("\"[2001:db8::7]:50007\"", "2001:db8::7"),
            ("2001:DB8:0:0::7", "2001:db8::7"),
            ("fe80::7%eth0", "fe80::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:50007", "203.0.113.7"),
            ("::ffff:cb00:7107", "203.0.113.7"),
        ] {
            assert_eq!(node(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "unknown",
            "_hidden",
            "unknown:80",
            "proxy.example.com",
            "[::1",
            "[::1]x",
            "\"",
            "1.2.3",
            "[]",
            ":80",
        ] {
            assert_eq!(node(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_untrusted_address_is_the_client() {
        let xff = |peer, line| found(peer, &[("x-forwarded-for", line)]);
        assert_eq!(xff("203.0.113.1", "198.51.100.9"), "203.0.113.1", "not a proxy");
        assert_eq!(xff("::ffff:172.20.0.1", "192.0.2.66, 198.51.100.9:4711"), "198.51.100.9");
        assert_eq!(xff("::1", "192.0.2.66, 198.51.100.9, 172.31.255.255, [fd00::1]:80"), "198.51.100.9");
        assert_eq!(xff("127.0.0.1", "198.51.100.9, , unknown, 172.16.0.1"), "172.16.0.1");
        assert_eq!(xff("127.0.0.1", "unknown"), "127.0.0.1");
        assert_eq!(xff("127.0.0.1", "172.16.0.9, 172.16.0.1"), "172.16.0.9", "a client inside the network");
        let split = [("x-forwarded-for", "192.0.2.66, 198.51.100.9"), ("x-forwarded-for", "172.16.0.1")];
        assert_eq!(found("127.0.0.1", &split), "198.51.100.9");
    }

    #[test]
    fn forwarded_is_read_if_there_is_no_older_header() {
        let forwarded = |line| found("127.0.0.1", &[("forwarded", line)]);
        for (line, expected) in [
            ("for=198.51.100.9", "198.51.100.9"),
            ("For=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("by=172.16.0.1;proto=https; FOR = 198.51.100.9 ;host=x", "198.51.100.9"),
            ("for=192.0.2.66, for=198.51.100.9, for=\"172.16.0.1:80\"", "198.51.100.9"),
            ("for=192.0.2.66, for=unknown", "127.0.0.1"),
            ("for=192.0.2.66, for=_hidden;proto=http", "127.0.0.1"),
            ("for=192.0.2.66, proto=https", "127.0.0.1"),
            ("for=198.51.100.9;host=\"x,for=192.0.2.66\"", "127.0.0.1"),
            ("for=198.51.100.9;host=\"x,for=192.0.2.66;y=\"", "127.0.0.1"),
            ("for=198.51.100.9;host=\"x,for=192.0.2.66;y=\\\"\"", "127.0.0.1"),
        ] {
            assert_eq!(forwarded(line), expected, "{line}");
        }
        let both = [("forwarded", "for=192.0.2.66"), ("x-forwarded-for", "198.51.100.9")];
        assert_eq!(found("127.0.0.1", &both), "198.51.100.9");
    }
}
