//! An SMTP server in this process that keeps the mails it gets and misbehaves on demand.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::message::Mail;
use crate::port::free_port;

mod session;

use session::Session;

/// What the sink does with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Keeps it and answers 250.
    #[default]
    Accept,
    /// Answers 451 at the end of the data.
    Temporary,
    /// Answers 550 to every recipient.
    Permanent,
    /// Never answers the end of the data.
    Hang,
    /// Closes the connection after the data, without keeping the mail.
    Drop,
    /// Keeps the mail, then closes the connection without saying so.
    AcceptThenDrop,
}

/// What the sink asks of its clients.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether and when connections are encrypted.
    pub encryption: Encryption,
    /// User and password without which no mail is taken.
    pub login: Option<(String, String)>,
    /// How one may log in, such as `AUTH LOGIN`; by PLAIN and LOGIN if empty.
    pub mechanisms: &'static str,
}

/// Whether and when connections are encrypted.
#[derive(Clone, Default)]
pub enum Encryption {
    /// Never.
    #[default]
    Never,
    /// When the client says STARTTLS.
    StartTls(TlsAcceptor),
    /// From the first byte.
    FromStart(TlsAcceptor),
}

/// A line that a client has sent, other than the content of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Without its end.
    pub line: String,
    /// Whether it came encrypted.
    pub encrypted: bool,
}

/// A listening sink; it and its connections end when it is dropped.
#[derive(Debug)]
pub struct MailSink {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    mails: watch::Sender<Vec<Mail>>,
}

#[derive(Debug, Default)]
struct Plan {
    usual: Behaviour,
    script: VecDeque<Behaviour>,
    faults: VecDeque<(String, String)>,
    attempts: usize,
    connections: usize,
    heard: Vec<Heard>,
}

impl MailSink {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, free_port()?).into()).await
    }

    /// Listens on a given address, such as that of a sink that was dropped.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_on(addr: SocketAddr) -> Result<Self> {
        Self::start_with(addr, Options::default()).await
    }

    /// The same, with encryption and a login.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_with(addr: SocketAddr, options: Options) -> Result<Self> {
        let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
        let addr = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, options, Arc::clone(&shared)));
        Ok(Self { addr, shared, _server: server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The mails kept so far, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Mail> {
        self.shared.mails.borrow().clone()
    }

    /// How many mails were begun (`MAIL FROM`), whatever became of them.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.shared.plan().attempts
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.plan().connections
    }

    /// Every line so far that was no content of a mail, those of concurrent connections between each other.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.plan().heard.clone()
    }

    /// Answers `command` with `reply` the next time it comes: `GREETING`, a verb such as `RCPT`, or `END` for the end
    /// of the data. After 421 the connection is closed, and an empty reply only closes it.
    pub fn fault(&self, command: &str, reply: &str) {
        self.shared.plan().faults.push_back((command.to_owned(), reply.to_owned()));
    }

    /// What to do with mails from now on, once a script is used up.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.plan().usual = behaviour;
    }

    /// What to do with the next mails, one each in the order they begin; replaces what is left of the last script.
    pub fn script(&self, behaviours: Vec<Behaviour>) {
        self.shared.plan().script = behaviours.into();
    }

    /// Waits until the mails kept so far satisfy `enough`, and returns them.
    ///
    /// # Errors
    /// When they do not within `limit`.
    pub async fn wait_for(
        &self,
        mut enough: impl FnMut(&[Mail]) -> bool,
        limit: Duration,
    ) -> Result<Vec<Mail>> {
        let mut mails = self.shared.mails.subscribe();
        let found = tokio::time::timeout(limit, mails.wait_for(|mails| enough(mails))).await;
        if let Ok(Ok(mails)) = found {
            return Ok(mails.clone());
        }
        let subjects: Vec<_> = self.messages().iter().map(|mail| mail.header("Subject")).collect();
        bail!("the mails awaited did not come in {limit:?}; {} attempts, kept: {subjects:?}", self.attempts())
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a mail that begins and says what to do with it.
    fn begin(&self) -> Behaviour {
        let mut plan = self.plan();
        plan.attempts += 1;
        plan.script.pop_front().unwrap_or(plan.usual)
    }

    /// The reply planned for this command instead of the usual one.
    fn fault(&self, command: &str) -> Option<String> {
        let mut plan = self.plan();
        let nth = plan.faults.iter().position(|(planned, _)| planned == command)?;
        plan.faults.remove(nth).map(|(_, reply)| reply)
    }
}

async fn accept(listener: TcpListener, options: Options, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            shared.plan().connections += 1;
            let (options, shared) = (options.clone(), Arc::clone(&shared));
            // A broken connection is the client's to notice.
            sessions.spawn(async move { Session::begin(stream, options, shared).await?.run().await });
        }
        while sessions.try_join_next().is_some() {}
    }
}
