//! Where a logical database of Redis is: at an address, with or without TLS, or where Sentinels say.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates, TlsMode,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    base::error::{Error, Result},
    platform::config::RedisServers,
};

/// How a server is found.
pub(super) enum Source {
    /// It is always at the same place.
    Fixed(Client),
    /// The one that takes writes may change.
    Sentinels {
        /// Whom to ask, and for what.
        servers: RedisServers,
        /// User, password and database; the address is not used.
        info: ConnectionInfo,
        authority: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place())
    }
}

impl Source {
    /// As the settings say.
    ///
    /// # Errors
    /// For a malformed URL, and a certificate that cannot be read.
    pub(super) fn new(url: &SecretString, servers: &RedisServers) -> Result<Self> {
        let info = url.expose_secret().into_connection_info().map_err(problem("the Redis URL"))?;
        let read = |file: &std::path::PathBuf| std::fs::read(file).map_err(problem("REDIS_CA_FILE"));
        let authority = servers.ca_file.as_ref().map(read).transpose()?;
        if !servers.sentinels.is_empty() {
            return Ok(Self::Sentinels { servers: servers.clone(), info, authority });
        }
        let has_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match authority {
            Some(root_cert) if has_tls => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        };
        Ok(Self::Fixed(client.map_err(problem("the Redis URL"))?))
    }

    /// The same for databases of the same server.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Fixed(client) => client.get_connection_info().addr().to_string(),
            Self::Sentinels { servers, .. } => {
                format!("{} of {:?}", servers.sentinel_service, servers.sentinels)
            }
        }
    }

    /// Its client, if nobody needs to be asked for the address.
    pub(super) fn at_once(&self) -> Option<Client> {
        match self {
            Self::Fixed(client) => Some(client.clone()),
            Self::Sentinels { .. } => None,
        }
    }

    /// Its client. Of servers behind Sentinels it is the one that takes writes, and says so itself.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        let Self::Sentinels { servers, info, authority } = self else {
            return self.at_once().ok_or_else(|| (redis::ErrorKind::Client, "no address").into());
        };
        let address = |(host, port): &(String, u16)| match (host.clone(), *port) {
            (host, port) if servers.sentinel_tls => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
            (host, port) => ConnectionAddr::Tcp(host, port),
        };
        let addresses = servers.sentinels.iter().map(address);
        let certificates = || {
            let root_cert = authority.clone()?;
            Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
        };
        let (service, kind) = (&servers.sentinel_service, SentinelServerType::Master);
        let mut builder = SentinelClientBuilder::new(addresses, service, kind)?;
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
        builder.build()?.async_get_client().await
    }
}

fn problem<E: std::error::Error + Send + Sync + 'static>(with: &'static str) -> impl Fn(E) -> Error {
    move |error| anyhow::Error::new(error).context(with).into()
}
