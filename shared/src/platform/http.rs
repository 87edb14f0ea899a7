//! Calls to servers of others: bounded in time and size, without proxies and redirects, to addresses that were checked.

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

use crate::base::send_error::SendError;

pub mod address;

/// A call takes no longer, whatever the server does.
const WAIT: Duration = Duration::from_secs(5);
/// Of that, until there is a connection. What fails before has not been sent.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(3);
/// More of an answer is not read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Which servers may be called.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The only host, and port where that is not the usual one, which a URL may name.
    pub authority: String,
    /// Whether an address that the host's name stands for may be connected to.
    pub is_address_allowed: fn(IpAddr) -> bool,
    /// Whether a call may go unencrypted.
    pub allow_http: bool,
    /// PEM of the one authority that is trusted; the public ones without.
    pub root_certificate: Option<Arc<str>>,
}

impl Rules {
    /// One host in the public internet, encrypted.
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

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// With the type `application/json`.
    Json(serde_json::Value),
    /// As a web form.
    Form(Vec<(&'static str, String)>),
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where; it may hold a key and is in no error.
    pub url: SecretString,
    /// The header `Authorization`.
    pub authorization: Option<SecretString>,
    /// What.
    pub body: Body,
}

/// What the server said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// Its text, if it is one and was short enough.
    pub body: String,
}

impl Answer {
    /// Success, or what the status means for another try.
    ///
    /// # Errors
    /// [`SendError::Temporary`] for 408, 429 and 5xx, [`SendError::Permanent`] for anything else that is no 2xx.
    pub fn accepted(&self) -> Result<(), SendError> {
        let answered = format!("the server answered {}", self.status);
        match self.status {
            200..=299 => Ok(()),
            408 | 429 | 500..=599 => Err(SendError::Temporary(answered)),
            _ => Err(SendError::Permanent(answered)),
        }
    }
}

/// Sends `post`, if the rules allow it.
///
/// # Errors
/// What is known about a request without an answer. The texts never hold the URL.
pub async fn send(rules: &Rules, post: Post) -> Result<Answer, SendError> {
    let agent = agent(rules, &post)?;
    // What drops this future does not end the call, which is over in a few seconds by itself.
    let called = tokio::task::spawn_blocking(move || call(&agent, &post)).await;
    called.unwrap_or_else(|_| Err(SendError::Unknown("the call ended abnormally".into())))
}

/// A client for one call: no connection is kept, so that each is to an address that was just checked.
fn agent(rules: &Rules, post: &Post) -> Result<Agent, SendError> {
    let refused = |why: &str| SendError::Permanent(format!("the address may not be called: {why}"));
    let uri: Uri = post.url.expose_secret().parse().map_err(|_| refused("it is no URL"))?;
    // The whole of it is compared: a user in front of the host, or another port, is another place.
    if !uri.authority().is_some_and(|found| found.as_str().eq_ignore_ascii_case(&rules.authority)) {
        return Err(refused("its host is not the one that is allowed"));
    }
    if uri.scheme_str() != Some("https") && !(rules.allow_http && uri.scheme_str() == Some("http")) {
        return Err(refused("it does not begin with https"));
    }
    let mut tls = TlsConfig::builder();
    if let Some(pem) = &rules.root_certificate {
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|_| refused("no trust"))?;
        tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
    }
    let config = Config::builder()
        .tls_config(tls.build())
        .https_only(!rules.allow_http)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(WAIT))
        .timeout_resolve(Some(WAIT_FOR_CONNECTION))
        .timeout_connect(Some(WAIT_FOR_CONNECTION))
        .max_idle_connections(0)
        .user_agent("Parkade")
        .build();
    let resolver = Checked { reachable: rules.is_address_allowed, names: DefaultResolver::default() };
    Ok(Agent::with_parts(config, DefaultConnector::default(), resolver))
}

fn call(agent: &Agent, post: &Post) -> Result<Answer, SendError> {
    let mut request = agent.post(post.url.expose_secret());
    if let Some(authorization) = &post.authorization {
        request = request.header("Authorization", authorization.expose_secret());
    }
    let sent = match &post.body {
        Body::Json(value) => request.send_json(value),
        Body::Form(fields) => request.send_form(fields.iter().map(|(name, value)| (*name, value))),
    };
    let mut response = sent.map_err(|error| failure(&error))?;
    let status: StatusCode = response.status();
    let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
    Ok(Answer { status: status.as_u16(), body: body.unwrap_or_default() })
}

/// Looks names up, and lets nobody connect to what they must not stand for. What is checked is what is connected to.
#[derive(Debug)]
struct Checked {
    reachable: fn(IpAddr) -> bool,
    names: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, HttpError> {
        let found = self.names.resolve(uri, config, timeout).map_err(|error| match error {
            HttpError::Timeout(_) => HttpError::Timeout(Timeout::Resolve),
            _ => HttpError::HostNotFound,
        })?;
        if found.iter().all(|address| (self.reachable)(address.ip())) {
            Ok(found)
        } else {
            Err(HttpError::Other("its host stands for an address that may not be called".into()))
        }
    }
}

/// What an error means, in words of ours: those of the library may hold the URL.
fn failure(error: &HttpError) -> SendError {
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
            kind => SendError::Unknown(format!("the connection broke: {kind}")),
        },
        HttpError::Timeout(_) => SendError::Unknown(format!("no answer within {} s", WAIT.as_secs())),
        HttpError::Other(why) => SendError::Permanent(why.to_string()),
        HttpError::Http(_) | HttpError::BadUri(_) | HttpError::RequireHttpsOnly(_) => {
            SendError::Permanent("the request cannot be made".into())
        }
        _ => SendError::Unknown("the answer cannot be read".into()),
    }
}
