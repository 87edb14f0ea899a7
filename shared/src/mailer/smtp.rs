//! The conversation with a mail server, in steps that tell apart what a broken connection means in each.

use std::{
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use lettre::{
    address::Envelope,
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use secrecy::ExposeSecret;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::SendError;
use crate::{config, error::Result, templates::one_line};

/// Mails in transfer at once, and so connections.
const CONNECTIONS: usize = 8;
/// How long a connection waits for another mail; servers close theirs after five minutes (RFC 5321, 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(30);

/// Patience in each step; together less than the time a mail job has.
const WAIT: Duration = Duration::from_secs(10);
const OPEN: Duration = Duration::from_secs(10);
const ADDRESS: Duration = Duration::from_secs(8);
const CONTENT: Duration = Duration::from_secs(20);

/// The port on which TLS begins at once (RFC 8314, 3.3).
const TLS_FROM_START: u16 = 465;

/// A mail server and connections to it that wait for their next mail.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    sender: Mailbox,
    slots: Semaphore,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Smtp {
    pub(super) fn new(host: &str, config: &config::Mail, sender: Mailbox) -> Result<Self> {
        let tls = config.use_tls.then(|| TlsParameters::new(host.to_owned()));
        if config.credentials.is_some() && !config.use_tls {
            tracing::warn!("the password of the mail server travels in clear: MAIL_USE_TLS is false");
        }
        let login = |(user, password): &(String, secrecy::SecretString)| {
            Credentials::new(user.clone(), password.expose_secret().to_owned())
        };
        Ok(Self {
            host: host.to_owned(),
            port: config.port,
            tls: tls.transpose().context("TLS to the mail server")?,
            credentials: config.credentials.as_ref().map(login),
            hello: ClientId::default(),
            sender,
            slots: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub(super) fn sender(&self) -> &Mailbox {
        &self.sender
    }

    /// Hands a mail over. Until its end is written the server cannot have taken it; from then on only its
    /// answer tells.
    pub(super) async fn send(&self, envelope: &Envelope, content: &[u8]) -> Result<(), SendError> {
        let Ok(Ok(_slot)) = timeout(WAIT, self.slots.acquire()).await else {
            return Err(SendError::NotSent("every connection to the mail server is busy".into()));
        };
        // Whatever the server says to this is about us, not about the mail.
        let (mut connection, knows_utf8) = match timeout(OPEN, self.open(envelope)).await {
            Ok(opened) => opened.map_err(|error| SendError::NotSent(redacted(&error)))?,
            Err(_) => return Err(SendError::NotSent(silence(OPEN))),
        };
        if needs_utf8(envelope) && !knows_utf8 {
            return Err(SendError::Permanent("the mail server cannot write to such an address".into()));
        }
        step(ADDRESS, SendError::NotSent, address(&mut connection, envelope)).await?;
        step(CONTENT, SendError::Unknown, connection.message(content)).await?;
        self.keep(connection);
        Ok(())
    }

    /// A connection on which the mail is begun, and whether its server takes addresses beyond ASCII (RFC 6531).
    async fn open(&self, envelope: &Envelope) -> anyhow::Result<(AsyncSmtpConnection, bool)> {
        let mut connection = match self.waiting().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let knows_utf8 = connection.server_info().supports_feature(Extension::SmtpUtfEight);
        let mut parameters = Vec::new();
        if needs_utf8(envelope) && knows_utf8 {
            parameters =
                vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)];
        }
        connection.command(Mail::new(envelope.from().cloned(), parameters)).await?;
        Ok((connection, knows_utf8))
    }

    /// A connection that is greeted, encrypted and logged in.
    async fn connect(&self) -> anyhow::Result<AsyncSmtpConnection> {
        let (server, tls) = ((self.host.as_str(), self.port), self.tls.clone());
        let (mut connection, upgrade) = if self.port == TLS_FROM_START && tls.is_some() {
            (AsyncSmtpConnection::connect_tokio1(server, Some(OPEN), &self.hello, tls, None).await?, None)
        } else {
            let stream = TcpStream::connect(server).await?;
            // The end of a mail is a write of its own, which otherwise waits 40 ms for a delayed acknowledgement.
            stream.set_nodelay(true)?;
            (AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await?, tls)
        };
        if let Some(tls) = upgrade {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// A waiting connection that still answers.
    async fn waiting(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < IDLE);
        idle.push((Instant::now(), connection));
    }
}

/// Names the recipient and asks to begin.
async fn address(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), SmtpError> {
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await.map(drop)
}

fn needs_utf8(envelope: &Envelope) -> bool {
    envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}

/// One step with its patience. A refusal is an answer; `lost` is what anything else means here.
async fn step<T>(
    limit: Duration,
    lost: fn(String) -> SendError,
    work: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, SendError> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.is_permanent() => Err(SendError::Permanent(redacted(&error))),
        Ok(Err(error)) if error.is_transient() => Err(SendError::Temporary(redacted(&error))),
        Ok(Err(error)) => Err(lost(redacted(&error))),
        Err(_) => Err(lost(silence(limit))),
    }
}

fn silence(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// The server's words on one line, without the address that they often repeat.
fn redacted(error: &impl fmt::Display) -> String {
    let line = one_line(&error.to_string());
    let words = line.split(' ').map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
