//! Where a logical database of Redis is: at a fixed address, or at the one that Sentinels report.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates, TlsMode,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    base::error::{Error, Result},
    platform::config::RedisServers,
};

/// How a server is found.
pub(super) enum Source {
    /// At a fixed address.
    Fixed(Client),
    /// The primary that Sentinels report; it may change.
    Sentinels {
        servers: RedisServers,
        /// Its user, password and database; its address is not used.
        info: ConnectionInfo,
        ca: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

impl Source {
    pub(super) fn new(url: &SecretString, servers: &RedisServers) -> Result<Self> {
        let info = url.expose_secret().into_connection_info().map_err(problem("the Redis URL"))?;
        let read = |file: &std::path::PathBuf| std::fs::read(file).map_err(problem("REDIS_CA_FILE"));
        let ca = servers.ca_file.as_ref().map(read).transpose()?;
        if !servers.sentinels.is_empty() {
            return Ok(Self::Sentinels { servers: servers.clone(), info, ca });
        }
        let has_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match ca {
            Some(root_cert) if has_tls => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        };
        Ok(Self::Fixed(client.map_err(problem("the Redis URL"))?))
    }

    /// Equal for databases of the same server.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Fixed(client) => client.get_connection_info().addr().to_string(),
            Self::Sentinels { servers, .. } => {
                format!("{} of {:?}", servers.sentinel_service, servers.sentinels)
            }
        }
    }

    /// The name of the Redis user.
    pub(super) fn user(&self) -> &str {
        let info = match self {
            Self::Fixed(client) => client.get_connection_info(),
            Self::Sentinels { info, .. } => info,
        };
        info.redis_settings().username().unwrap_or("default")
    }

    /// A client, unless the address comes from Sentinels.
    pub(super) fn fixed_client(&self) -> Option<Client> {
        match self {
            Self::Fixed(client) => Some(client.clone()),
            Self::Sentinels { .. } => None,
        }
    }

    /// A client; with Sentinels, one for the current primary.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        match self {
            Self::Fixed(client) => Ok(client.clone()),
            Self::Sentinels { servers, info, ca } => {
                sentinel_client(servers, info, ca.as_ref())?.async_get_client().await
            }
        }
    }
}

fn sentinel_client(
    servers: &RedisServers,
    info: &ConnectionInfo,
    ca: Option<&Vec<u8>>,
) -> RedisResult<SentinelClient> {
    let address = |(host, port): &(String, u16)| match (host.clone(), *port) {
        (host, port) if servers.sentinel_tls => {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        }
        (host, port) => ConnectionAddr::Tcp(host, port),
    };
    let addresses = servers.sentinels.iter().map(address);
    let (service, kind) = (&servers.sentinel_service, SentinelServerType::Master);
    let mut builder = SentinelClientBuilder::new(addresses, service, kind)?;
    let certificates = || ca.map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) });
    if let Some(password) = &servers.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose_secret());
    }
    if let Some(certificates) = certificates().filter(|_| servers.sentinel_tls) {
        builder = builder.set_client_to_sentinel_certificates(certificates);
    }
    let settings = info.redis_settings();
    builder = builder.set_client_to_redis_db(settings.db());
    if let Some(user) = settings.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates() {
            builder = builder.set_client_to_redis_certificates(certificates);
        }
    }
    builder.build()
}

fn problem<E: std::error::Error + Send + Sync + 'static>(context: &'static str) -> impl Fn(E) -> Error {
    move |error| anyhow::Error::new(error).context(context).into()
}
