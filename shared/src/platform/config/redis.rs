//! Where Redis is, beyond what is in its URLs.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{Sources, sources::yes_or_no};

/// How the servers are found and trusted.
#[derive(Debug, Clone)]
pub struct RedisServers {
    /// `REDIS_CA_FILE`: the authority that signed the certificates, in PEM.
    pub ca_file: Option<PathBuf>,
    /// `REDIS_SENTINELS`: who knows the address; none where it is in the URLs.
    pub sentinels: Vec<(String, u16)>,
    /// `REDIS_SENTINEL_SERVICE`: what they call it.
    pub sentinel_service: String,
    /// `REDIS_SENTINEL_PASSWORD`: their own.
    pub sentinel_password: Option<SecretString>,
    /// `REDIS_SENTINEL_TLS`: whether they have TLS.
    pub sentinel_tls: bool,
}

impl RedisServers {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let sentinels = from.parse("REDIS_SENTINELS", hosts);
        let ca_file = from.text("REDIS_CA_FILE").map(PathBuf::from);
        let sentinel_password = from.text("REDIS_SENTINEL_PASSWORD").map(SecretString::from);
        let sentinel_tls = from.parse("REDIS_SENTINEL_TLS", yes_or_no)?;
        let (sentinels, sentinel_service) =
            (sentinels.unwrap_or_default(), from.text("REDIS_SENTINEL_SERVICE")?);
        Some(Self { ca_file, sentinels, sentinel_service, sentinel_password, sentinel_tls })
    }
}

fn hosts(text: &str) -> Result<Vec<(String, u16)>, &'static str> {
    let host = |text: &str| {
        let (host, port) = text.trim().rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    };
    let hosts: Option<Vec<_>> = text.split(',').map(host).collect();
    hosts.ok_or("must be hosts with ports such as sentinel-1:26379, separated by commas")
}
