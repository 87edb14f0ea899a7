//! Sending mails by SMTP, in steps that distinguish what a lost connection means in each.

use std::{fmt, io, path::Path, time::Duration};

use anyhow::Context;
use lettre::{
    address::Envelope,
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Severity,
    },
};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    smtp_error::{failure, timed_out, unreachable},
    smtp_reply::Step,
};
use crate::{
    base::{error::Result, send_error::SendError},
    platform::config::{self, Encryption},
};

/// Concurrent connections to the mail server.
const MAX_CONNECTIONS: usize = 8;
/// How long an idle connection is kept; servers close theirs after five minutes (RFC 5321, 4.5.3.2.7).
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long each step may take; together less than the timeout of a mail job.
const SLOT_TIMEOUT: Duration = Duration::from_secs(10);
const REUSE_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SENDER_TIMEOUT: Duration = Duration::from_secs(4);
const ENVELOPE_TIMEOUT: Duration = Duration::from_secs(4);
const CONTENT_TIMEOUT: Duration = Duration::from_secs(20);

/// A mail server, with idle connections to it.
pub struct Smtp {
    host: String,
    port: u16,
    encryption: Encryption,
    tls: TlsParameters,
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
        let encryption = config.encryption();
        if config.credentials.is_some() && encryption == Encryption::Never {
            tracing::warn!("the password of the mail server is sent unencrypted: MAIL_USE_TLS is false");
        }
        let login = |(user, password): &(String, secrecy::SecretString)| {
            Credentials::new(user.clone(), password.expose_secret().to_owned())
        };
        Ok(Self {
            host: host.to_owned(),
            port: config.port,
            encryption,
            tls: tls(host, config.ca_file.as_deref())?,
            credentials: config.credentials.as_ref().map(login),
            hello: config.ehlo_name.clone().map_or_else(ClientId::default, ClientId::Domain),
            sender,
            slots: Semaphore::new(MAX_CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub(super) fn sender(&self) -> &Mailbox {
        &self.sender
    }

    /// Sends a mail. Until the end of its content has been written, the server cannot have accepted it; after that, only its
    /// reply shows whether it did.
    pub(super) async fn send(&self, envelope: &Envelope, content: &[u8]) -> Result<(), SendError> {
        let Ok(Ok(_slot)) = timeout(SLOT_TIMEOUT, self.slots.acquire()).await else {
            return Err(SendError::Temporary("all connections to the mail server are busy".into()));
        };
        let mut connection = match timeout(REUSE_TIMEOUT, self.reuse(envelope)).await {
            Ok(Some(connection)) => connection,
            _ => {
                let connecting = timeout(CONNECT_TIMEOUT, self.connect(&mut |_| {})).await;
                let mut connection = connecting.unwrap_or_else(|_| Err(self.not_connected()))?;
                self.name_sender(&mut connection, envelope).await?;
                connection
            }
        };
        self.transfer(&mut connection, envelope, content).await?;
        self.keep(connection);
        Ok(())
    }

    /// Sends a mail on a new connection, and reports each step that succeeds.
    pub(super) async fn send_verbosely(
        &self,
        envelope: &Envelope,
        content: &[u8],
        report: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), SendError> {
        let connecting = timeout(CONNECT_TIMEOUT, self.connect(report)).await;
        let mut connection = connecting.unwrap_or_else(|_| Err(self.not_connected()))?;
        self.name_sender(&mut connection, envelope).await?;
        self.transfer(&mut connection, envelope, content).await?;
        report("the server accepted the mail");
        connection.quit().await.ok();
        Ok(())
    }

    /// Connects and logs in without sending anything.
    pub(crate) async fn check(&self, report: &mut (dyn FnMut(&str) + Send)) -> Result<(), SendError> {
        let connecting = timeout(CONNECT_TIMEOUT, self.connect(report)).await;
        let mut connection = connecting.unwrap_or_else(|_| Err(self.not_connected()))?;
        connection.quit().await.ok();
        Ok(())
    }

    /// A connection after the greeting, encryption and login.
    async fn connect(&self, report: &mut (dyn FnMut(&str) + Send)) -> Result<AsyncSmtpConnection, SendError> {
        let server = (self.host.as_str(), self.port);
        let mut connection = if self.encryption == Encryption::FromStart {
            let tls = Some(self.tls.clone());
            let connected =
                AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_TIMEOUT), &self.hello, tls, None)
                    .await;
            connected.map_err(|error| self.failure(Step::Reach, &error))?
        } else {
            let reached = async {
                let stream = TcpStream::connect(server).await?;
                // The end of a mail is a separate write, which would otherwise wait 40 ms for a delayed acknowledgement.
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            let stream = reached
                .await
                .map_err(|error: io::Error| unreachable(&self.host, self.port, &error.to_string()))?;
            let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await;
            greeted.map_err(|error| self.failure(Step::Reach, &error))?
        };
        report(&format!("{}:{} responds", self.host, self.port));
        if self.encryption == Encryption::StartTls {
            let encrypted = connection.starttls(self.tls.clone(), &self.hello).await;
            encrypted.map_err(|error| self.failure(Step::Encrypt, &error))?;
        }
        report(if connection.is_encrypted() {
            "the connection is encrypted, and the certificate is valid"
        } else {
            "the connection is not encrypted: MAIL_USE_TLS is false"
        });
        if let Some(credentials) = &self.credentials {
            let accepted = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            accepted.map_err(|error| self.failure(Step::LogIn, &error))?;
            report("the login succeeded");
        }
        Ok(connection)
    }

    /// Begins a mail.
    async fn name_sender(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        if needs_utf8(envelope) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Permanent(
                    "the mail server does not support addresses that are not ASCII".into(),
                ));
            }
            parameters =
                vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)];
        }
        let accepted = connection.command(Mail::new(envelope.from().cloned(), parameters));
        let accepted = timeout(SENDER_TIMEOUT, accepted).await;
        let accepted = accepted.map_err(|_| SendError::NotSent(timed_out(SENDER_TIMEOUT)))?;
        accepted.map(drop).map_err(|error| self.failure(Step::Sender, &error))
    }

    async fn transfer(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        content: &[u8],
    ) -> Result<(), SendError> {
        let addressed = async {
            for recipient in envelope.to() {
                let accepted = connection.command(Rcpt::new(recipient.clone(), Vec::new())).await;
                accepted.map_err(|error| self.failure(Step::Recipient, &error))?;
            }
            let ready = connection.command(Data).await;
            let ready = ready.map_err(|error| self.failure(Step::Recipient, &error))?;
            // After any other reply, the server would read the lines of the mail as commands.
            ready
                .has_code(354)
                .then_some(())
                .ok_or_else(|| SendError::NotSent(format!("{} to DATA", ready.code())))
        };
        timeout(ENVELOPE_TIMEOUT, addressed)
            .await
            .unwrap_or_else(|_| Err(SendError::NotSent(timed_out(ENVELOPE_TIMEOUT))))?;
        match timeout(CONTENT_TIMEOUT, connection.message(content)).await {
            Ok(Ok(answer)) if answer.code().severity == Severity::PositiveCompletion => Ok(()),
            Ok(Ok(answer)) => Err(SendError::Unknown(format!("{} to the end of the mail", answer.code()))),
            Ok(Err(error)) => Err(self.failure(Step::Content, &error)),
            Err(_) => Err(SendError::Unknown(timed_out(CONTENT_TIMEOUT))),
        }
    }

    fn not_connected(&self) -> SendError {
        unreachable(&self.host, self.port, &timed_out(CONNECT_TIMEOUT))
    }

    fn failure(&self, step: Step, error: &SmtpError) -> SendError {
        let lost = if step == Step::Content { SendError::Unknown } else { SendError::NotSent };
        failure(step, (&self.host, self.port), error, lost)
    }

    /// An idle connection on which the mail has begun. Whether a connection still works shows when it is used: nothing has
    /// been sent then, and a NOOP before each mail would be a round trip.
    async fn reuse(&self, envelope: &Envelope) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.idle.lock().pop()?;
            if since.elapsed() < IDLE_TIMEOUT && self.name_sender(&mut connection, envelope).await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock();
        idle.retain(|(since, _)| since.elapsed() < IDLE_TIMEOUT);
        idle.push((Instant::now(), connection));
    }
}

/// Trusts the public authorities, and one more.
fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let pem = std::fs::read(file)
            .with_context(|| format!("MAIL_CA_FILE: {} cannot be read", file.display()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(anyhow::anyhow!("MAIL_CA_FILE: {} contains no certificate", file.display()).into());
        }
        let certificate = Certificate::from_pem(&pem).context("MAIL_CA_FILE is not a PEM certificate")?;
        tls = tls.add_root_certificate(certificate);
    }
    Ok(tls.build().context("TLS to the mail server")?)
}

fn needs_utf8(envelope: &Envelope) -> bool {
    envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}
