//! The network that a client belongs to.

use std::{fmt, net::IpAddr};

/// The network of a client: an IPv4 address, or the /64 that an IPv6 customer usually has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub Option<IpAddr>);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                write!(f, "{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Some(address) => write!(f, "{address}"),
            None => f.write_str("unknown"),
        }
    }
}
