//! An SMTP server in this process that keeps the mails it gets and misbehaves on demand.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::message::Mail;
use crate::port::free_port;

const CAPABILITIES: &str = "250-sink\r\n250-PIPELINING\r\n250 8BITMIME";

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
    attempts: usize,
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
        let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
        let addr = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&shared)));
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
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let session = Session { stream: BufStream::new(stream), shared: Arc::clone(&shared), mail: None };
            // A broken connection is the client's to notice.
            sessions.spawn(async { session.run().await.ok() });
        }
        while sessions.try_join_next().is_some() {}
    }
}

/// One connection.
struct Session {
    stream: BufStream<TcpStream>,
    shared: Arc<Shared>,
    /// The mail begun with `MAIL`.
    mail: Option<(Mail, Behaviour)>,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        self.reply("220 sink ESMTP").await?;
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line);
            let (verb, argument) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            let verb = verb.to_ascii_uppercase();
            if verb == "DATA" {
                if !self.data().await? {
                    return Ok(());
                }
                continue;
            }
            let answer = self.answer(&verb, argument);
            self.reply(answer).await?;
            if verb == "QUIT" {
                return Ok(());
            }
        }
    }

    /// Takes in a command other than `DATA`.
    fn answer(&mut self, verb: &str, argument: &str) -> &'static str {
        match (verb, &mut self.mail) {
            ("EHLO" | "HELO" | "RSET", mail) => {
                *mail = None;
                if verb == "EHLO" { CAPABILITIES } else { "250 2.0.0 ok" }
            }
            ("MAIL", None) => {
                let mail = Mail { from: path(argument), to: Vec::new(), raw: String::new() };
                self.mail = Some((mail, self.shared.begin()));
                "250 2.1.0 ok"
            }
            ("RCPT", Some((_, Behaviour::Permanent))) => "550 5.1.1 no such mailbox",
            ("RCPT", Some((mail, _))) => {
                mail.to.push(path(argument));
                "250 2.1.5 ok"
            }
            ("MAIL" | "RCPT", _) => "503 5.5.1 bad sequence of commands",
            ("NOOP", _) => "250 2.0.0 ok",
            ("QUIT", _) => "221 2.0.0 bye",
            _ => "502 5.5.1 unknown command",
        }
    }

    /// Receives the data of a mail and behaves as planned; `false` ends the connection.
    async fn data(&mut self) -> io::Result<bool> {
        let Some((mut mail, behaviour)) = self.mail.take().filter(|(mail, _)| !mail.to.is_empty()) else {
            self.reply("503 5.5.1 no valid recipients").await?;
            return Ok(true);
        };
        self.reply("354 go ahead").await?;
        let mut raw = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        mail.raw = String::from_utf8_lossy(&raw).into_owned();
        match behaviour {
            Behaviour::Accept | Behaviour::AcceptThenDrop => {
                self.shared.mails.send_modify(|mails| mails.push(mail));
                if behaviour == Behaviour::AcceptThenDrop {
                    return Ok(false);
                }
                self.reply("250 2.0.0 kept").await?;
            }
            Behaviour::Temporary => self.reply("451 4.3.0 try again later").await?,
            Behaviour::Permanent => self.reply("550 5.1.1 no such mailbox").await?,
            // Until the client gives up.
            Behaviour::Hang => while self.line().await.is_ok() {},
            Behaviour::Drop => {}
        }
        Ok(matches!(behaviour, Behaviour::Accept | Behaviour::Temporary | Behaviour::Permanent))
    }

    /// The next line with its end; the end of the stream is an error.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }
}

/// The address in `FROM:<a@b> BODY=8BITMIME`.
fn path(argument: &str) -> String {
    let inside = argument.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(argument, |(address, _)| address).to_owned()
}
