//! How Redis servers are found and trusted, beyond their URLs.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{parse, sources::Sources};

/// How the servers are found and trusted.
#[derive(Debug, Clone)]
pub struct RedisServers {
    /// `REDIS_CA_FILE`: the authority of the servers' certificates, as PEM.
    pub ca_file: Option<PathBuf>,
    /// `REDIS_SENTINELS`; if there are none, the addresses are in the URLs.
    pub sentinels: Vec<(String, u16)>,
    /// `REDIS_SENTINEL_SERVICE`: the Sentinels' name of the server.
    pub sentinel_service: String,
    /// `REDIS_SENTINEL_PASSWORD`: the password of the Sentinels themselves.
    pub sentinel_password: Option<SecretString>,
    /// `REDIS_SENTINEL_TLS`: whether the Sentinels themselves use TLS.
    pub sentinel_tls: bool,
}

impl RedisServers {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        Some(Self {
            ca_file: from.text("REDIS_CA_FILE").map(PathBuf::from),
            sentinels: from.parse("REDIS_SENTINELS", parse::hosts).unwrap_or_default(),
            sentinel_service: from.text("REDIS_SENTINEL_SERVICE")?,
            sentinel_password: from.text("REDIS_SENTINEL_PASSWORD").map(SecretString::from),
            sentinel_tls: from.parse("REDIS_SENTINEL_TLS", parse::boolean)?,
        })
    }
}
