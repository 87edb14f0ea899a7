//! The listening server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::message::Mail;
use super::script::{Behaviour, Options, ReceivedLine, Shared};
use super::session::Session;
use crate::port::free_port;

/// A mail server that ends with its connections when it is dropped.
#[derive(Debug)]
pub struct MailSink {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl MailSink {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, free_port()?).into()).await
    }

    /// Listens on a given address, for example that of a sink that was dropped.
    pub async fn start_on(addr: SocketAddr) -> Result<Self> {
        Self::start_with(addr, Options::default()).await
    }

    /// The same with encryption or a login.
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

    /// The accepted mails, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Mail> {
        self.shared.mails.borrow().clone()
    }

    /// The number of mails that were begun with `MAIL FROM`, accepted or not.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.shared.state.lock().attempts
    }

    /// The number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state.lock().connections
    }

    /// All lines so far outside the content of mails, those of concurrent connections interleaved.
    #[must_use]
    pub fn received_lines(&self) -> Vec<ReceivedLine> {
        self.shared.state.lock().received.clone()
    }

    /// Sends `reply` the next time `command` arrives: `GREETING`, a verb such as `RCPT`, or `END` for the end of the data.
    /// After 421 the connection is closed; an empty reply only closes it.
    pub fn fault(&self, command: &str, reply: &str) {
        self.shared.state.lock().faults.push_back((command.to_owned(), reply.to_owned()));
    }

    /// As [`Self::fault`], but whenever `command` arrives, until [`Self::repair`].
    pub fn break_down(&self, command: &str, reply: &str) {
        self.shared.state.lock().standing.push((command.to_owned(), reply.to_owned()));
    }

    /// Ends what [`Self::break_down`] began.
    pub fn repair(&self) {
        self.shared.state.lock().standing.clear();
    }

    /// What to do with mails once the script is used up.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.state.lock().default = behaviour;
    }

    /// What to do with the next mails, in the order they begin. Replaces the rest of the last script.
    pub fn script(&self, behaviours: Vec<Behaviour>) {
        self.shared.state.lock().script = behaviours.into();
    }

    /// Waits until `enough` holds for the accepted mails and returns them. Fails if it takes longer than `limit`.
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
        bail!(
            "the expected mails did not arrive in {limit:?}; {} attempts, accepted: {subjects:?}",
            self.attempts()
        )
    }
}

async fn accept(listener: TcpListener, options: Options, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            shared.state.lock().connections += 1;
            let (options, shared) = (options.clone(), Arc::clone(&shared));
            // The client notices a broken connection.
            sessions.spawn(async move { Session::begin(stream, options, shared).await?.run().await });
        }
        while sessions.try_join_next().is_some() {}
    }
}
