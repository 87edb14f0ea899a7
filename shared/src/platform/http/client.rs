//! Sending a request to a server, and what its failure means.

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use ureq::{
    Agent, Error as HttpError, Timeout,
    config::Config,
    http::{StatusCode, Uri},
    tls::{Certificate, RootCerts, TlsConfig},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::address;
use crate::base::send_error::SendError;

/// How long a call may take, whatever the server does.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take of that. What fails before there is a connection has not been sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Response bodies that are longer are not read.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Which servers may be called.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The only host that a URL may name, with a port unless it is the default one.
    pub authority: String,
    /// Whether an address that the host's name resolves to may be connected to.
    pub is_address_allowed: fn(IpAddr) -> bool,
    /// Whether calls without TLS are allowed.
    pub allow_http: bool,
    /// The only trusted root certificate, as PEM; the public ones if there is none.
    pub root_certificate: Option<Arc<str>>,
}

impl Rules {
    /// One host in the public internet, with TLS.
    #[must_use]
    pub fn public(authority: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            is_address_allowed: address::is_public,
            allow_http: false,
            root_certificate: None,
        }
    }
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Sent as `application/json`.
    Json(serde_json::Value),
    /// Sent as a web form.
    Form(Vec<(&'static str, String)>),
}

/// A POST request.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where to; it may contain a key, so no error shows it.
    pub url: SecretString,
    /// The `Authorization` header.
    pub authorization: Option<SecretString>,
    /// The body.
    pub body: Body,
}

/// The response of a server.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body, if it is text and not too long.
    pub body: String,
}

impl Response {
    /// # Errors
    /// [`SendError::Temporary`] for 408, 429 and 5xx, [`SendError::Permanent`] for any other status than 2xx.
    pub fn into_result(&self) -> Result<(), SendError> {
        let reason = format!("the server answered {}", self.status);
        match self.status {
            200..=299 => Ok(()),
            408 | 429 | 500..=599 => Err(SendError::Temporary(reason)),
            _ => Err(SendError::Permanent(reason)),
        }
    }
}

/// Sends `post`, if the rules allow it. Error messages never contain the URL.
pub async fn send(rules: &Rules, post: Post) -> Result<Response, SendError> {
    let agent = agent(rules, &post)?;
    // Dropping this future does not cancel the call, which ends by itself in a few seconds.
    let called = tokio::task::spawn_blocking(move || call(&agent, &post)).await;
    called.unwrap_or_else(|_| Err(SendError::Unknown("the call panicked".into())))
}

/// A client for one call. It keeps no connection, so every call goes to an address that was just checked.
fn agent(rules: &Rules, post: &Post) -> Result<Agent, SendError> {
    let refused = |why: &str| SendError::Permanent(format!("the URL is not allowed: {why}"));
    let uri: Uri = post.url.expose_secret().parse().map_err(|_| refused("it is malformed"))?;
    // Compared as a whole: a user before the host, or another port, is a different destination.
    if !uri.authority().is_some_and(|found| found.as_str().eq_ignore_ascii_case(&rules.authority)) {
        return Err(refused("its host is not the allowed one"));
    }
    if uri.scheme_str() != Some("https") && !(rules.allow_http && uri.scheme_str() == Some("http")) {
        return Err(refused("it does not begin with https"));
    }
    let mut tls = TlsConfig::builder();
    if let Some(pem) = &rules.root_certificate {
        let certificate = Certificate::from_pem(pem.as_bytes())
            .map_err(|_| refused("the root certificate is malformed"))?;
        tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
    }
    let config = Config::builder()
        .tls_config(tls.build())
        .https_only(!rules.allow_http)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(CALL_TIMEOUT))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_idle_connections(0)
        .user_agent("Parkade")
        .build();
    let resolver =
        CheckedResolver { is_allowed: rules.is_address_allowed, inner: DefaultResolver::default() };
    Ok(Agent::with_parts(config, DefaultConnector::default(), resolver))
}

fn call(agent: &Agent, post: &Post) -> Result<Response, SendError> {
    let mut request = agent.post(post.url.expose_secret());
    if let Some(authorization) = &post.authorization {
        request = request.header("Authorization", authorization.expose_secret());
    }
    let sent = match &post.body {
        Body::Json(value) => request.send_json(value),
        Body::Form(fields) => request.send_form(fields.iter().map(|(name, value)| (*name, value))),
    };
    let mut response = sent.map_err(|error| send_error(&error))?;
    let status: StatusCode = response.status();
    let body = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_string();
    Ok(Response { status: status.as_u16(), body: body.unwrap_or_default() })
}

/// Rejects names that resolve to forbidden addresses. The addresses that are checked are the ones that are used.
#[derive(Debug)]
struct CheckedResolver {
    is_allowed: fn(IpAddr) -> bool,
    inner: DefaultResolver,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, HttpError> {
        let found = self.inner.resolve(uri, config, timeout).map_err(|error| match error {
            HttpError::Timeout(_) => HttpError::Timeout(Timeout::Resolve),
            _ => HttpError::HostNotFound,
        })?;
        if found.iter().all(|address| (self.is_allowed)(address.ip())) {
            Ok(found)
        } else {
            Err(HttpError::Other("its host resolves to a forbidden address".into()))
        }
    }
}

/// What an error means, in our own words: those of the library may contain the URL.
fn send_error(error: &HttpError) -> SendError {
    use std::io::ErrorKind as Io;
    match error {
        HttpError::HostNotFound => SendError::NotSent("the host was not found".into()),
        HttpError::ConnectionFailed | HttpError::Timeout(Timeout::Resolve | Timeout::Connect) => {
            SendError::NotSent("the server cannot be reached".into())
        }
        HttpError::Tls(_) | HttpError::Rustls(_) => {
            SendError::NotSent("the server's certificate is not trusted".into())
        }
        HttpError::Io(error) => match error.kind() {
            Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
                SendError::NotSent(format!("the server cannot be reached: {}", error.kind()))
            }
            Io::InvalidData if error.to_string().contains("certificate") => {
                SendError::NotSent("the server's certificate is not trusted".into())
            }
            kind => SendError::Unknown(format!("the connection was lost: {kind}")),
        },
        HttpError::Timeout(_) => {
            SendError::Unknown(format!("no response within {} s", CALL_TIMEOUT.as_secs()))
        }
        HttpError::Other(why) => SendError::Permanent(why.to_string()),
        HttpError::Http(_) | HttpError::BadUri(_) | HttpError::RequireHttpsOnly(_) => {
            SendError::Permanent("the request is not valid".into())
        }
        _ => SendError::Unknown("the response cannot be read".into()),
    }
}
