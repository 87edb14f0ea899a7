//! The conversation with a mail server, in steps that tell apart what a broken connection means in each.

use std::{
    fmt, io,
    path::Path,
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
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Severity,
    },
};
use secrecy::ExposeSecret;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::SendError;
use crate::{
    base::error::Result,
    platform::config::{self, Encryption},
};

mod trouble;

use trouble::{Stage, refusal, silence, unreachable};

/// Mails in transfer at once, and so connections.
const CONNECTIONS: usize = 8;
/// How long a connection waits for another mail; servers close theirs after five minutes (RFC 5321, 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(30);

/// Patience in each step; together less than the time a mail job has.
const WAIT: Duration = Duration::from_secs(10);
const OPEN: Duration = Duration::from_secs(10);
const ADDRESS: Duration = Duration::from_secs(8);
const CONTENT: Duration = Duration::from_secs(20);

/// A mail server and connections to it that wait for their next mail.
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
            tracing::warn!("the password of the mail server travels in clear: MAIL_USE_TLS is false");
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
        let opening = async {
            match self.waiting().await {
                Some(connection) => Ok(connection),
                None => self.connect(&mut |_| {}).await,
            }
        };
        let mut connection = timeout(OPEN, opening).await.unwrap_or_else(|_| Err(self.unopened()))?;
        self.hand_over(&mut connection, envelope, content).await?;
        self.keep(connection);
        Ok(())
    }

    /// The same on a connection of its own, telling what works on the way.
    pub(super) async fn try_out(
        &self,
        envelope: &Envelope,
        content: &[u8],
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), SendError> {
        let connecting = timeout(OPEN, self.connect(say)).await;
        let mut connection = connecting.unwrap_or_else(|_| Err(self.unopened()))?;
        self.hand_over(&mut connection, envelope, content).await?;
        say("the server has accepted the mail");
        connection.quit().await.ok();
        Ok(())
    }

    /// Connects and logs in, and sends nothing.
    pub(crate) async fn check(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), SendError> {
        let connecting = timeout(OPEN, self.connect(say)).await;
        let mut connection = connecting.unwrap_or_else(|_| Err(self.unopened()))?;
        connection.quit().await.ok();
        Ok(())
    }

    /// A connection that is greeted, encrypted and logged in.
    async fn connect(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<AsyncSmtpConnection, SendError> {
        let server = (self.host.as_str(), self.port);
        let mut connection = if self.encryption == Encryption::FromStart {
            let tls = Some(self.tls.clone());
            let connected =
                AsyncSmtpConnection::connect_tokio1(server, Some(OPEN), &self.hello, tls, None).await;
            connected.map_err(|error| self.trouble(Stage::Reach, &error))?
        } else {
            let reached = async {
                let stream = TcpStream::connect(server).await?;
                // The end of a mail is a write of its own, which otherwise waits 40 ms for a delayed acknowledgement.
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            let stream = reached
                .await
                .map_err(|error: io::Error| unreachable(&self.host, self.port, &error.to_string()))?;
            let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await;
            greeted.map_err(|error| self.trouble(Stage::Reach, &error))?
        };
        say(&format!("{}:{} has answered", self.host, self.port));
        if self.encryption == Encryption::StartTls {
            let encrypted = connection.starttls(self.tls.clone(), &self.hello).await;
            encrypted.map_err(|error| self.trouble(Stage::Encrypt, &error))?;
        }
        say(if connection.is_encrypted() {
            "the connection is encrypted, and the certificate is good"
        } else {
            "the connection is not encrypted: MAIL_USE_TLS is false"
        });
        if let Some(credentials) = &self.credentials {
            let accepted = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            accepted.map_err(|error| self.trouble(Stage::LogIn, &error))?;
            say("the login is accepted");
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        content: &[u8],
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        if needs_utf8(envelope) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Permanent("the mail server cannot write to such an address".into()));
            }
            parameters =
                vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)];
        }
        let addressed = async {
            let begun = connection.command(Mail::new(envelope.from().cloned(), parameters)).await;
            begun.map_err(|error| self.trouble(Stage::Sender, &error))?;
            for recipient in envelope.to() {
                let known = connection.command(Rcpt::new(recipient.clone(), Vec::new())).await;
                known.map_err(|error| refusal(&error, SendError::NotSent))?;
            }
            let ready =
                connection.command(Data).await.map_err(|error| refusal(&error, SendError::NotSent))?;
            // Any other yes would make commands of the lines of the mail.
            ready
                .has_code(354)
                .then_some(())
                .ok_or_else(|| SendError::NotSent(format!("{} to DATA", ready.code())))
        };
        timeout(ADDRESS, addressed).await.unwrap_or_else(|_| Err(SendError::NotSent(silence(ADDRESS))))?;
        match timeout(CONTENT, connection.message(content)).await {
            Ok(Ok(answer)) if answer.code().severity == Severity::PositiveCompletion => Ok(()),
            Ok(Ok(answer)) => Err(SendError::Unknown(format!("{} to the end of the mail", answer.code()))),
            Ok(Err(error)) => Err(refusal(&error, SendError::Unknown)),
            Err(_) => Err(SendError::Unknown(silence(CONTENT))),
        }
    }

    fn unopened(&self) -> SendError {
        unreachable(&self.host, self.port, &silence(OPEN))
    }

    fn trouble(&self, stage: Stage, error: &SmtpError) -> SendError {
        stage.trouble(&self.host, self.port, error)
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

/// Trust in the public authorities, and in one more.
fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let pem = std::fs::read(file)
            .with_context(|| format!("MAIL_CA_FILE: {} cannot be read", file.display()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(anyhow::anyhow!("MAIL_CA_FILE: {} holds no certificate", file.display()).into());
        }
        let certificate = Certificate::from_pem(&pem).context("MAIL_CA_FILE: it is no certificate in PEM")?;
        tls = tls.add_root_certificate(certificate);
    }
    Ok(tls.build().context("TLS to the mail server")?)
}

fn needs_utf8(envelope: &Envelope) -> bool {
    envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}
