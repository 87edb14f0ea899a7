//! A connection: the SMTP protocol.

use std::io;
use std::sync::Arc;

use mail_parser::decoders::base64::base64_decode;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::message::Mail;
use super::script::{Behaviour, Encryption, Options, ReceivedLine, Shared};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) struct Session {
    stream: BufStream<Box<dyn Stream>>,
    options: Options,
    shared: Arc<Shared>,
    encrypted: bool,
    logged_in: bool,
    /// The mail begun with `MAIL`.
    mail: Option<(Mail, Behaviour)>,
}

/// Closes the connection when it is returned as an error.
const CLOSE: io::ErrorKind = io::ErrorKind::ConnectionAborted;

impl Session {
    /// Sends the greeting, after the TLS handshake if connections are encrypted from the start.
    pub(super) async fn begin(stream: TcpStream, options: Options, shared: Arc<Shared>) -> io::Result<Self> {
        let from_start = matches!(options.encryption, Encryption::FromStart(_));
        let stream: Box<dyn Stream> = match &options.encryption {
            Encryption::FromStart(acceptor) => Box::new(acceptor.accept(stream).await?),
            _ => Box::new(stream),
        };
        let logged_in = options.login.is_none();
        let mut session = Self {
            stream: BufStream::new(stream),
            options,
            shared,
            encrypted: from_start,
            logged_in,
            mail: None,
        };
        session.answer("GREETING", "220 sink ESMTP").await?;
        Ok(session)
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.shared
                .state
                .lock()
                .received
                .push(ReceivedLine { line: line.clone(), encrypted: self.encrypted });
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            match verb.as_str() {
                "DATA" => self.data().await?,
                "AUTH" => self.log_in(argument).await?,
                "STARTTLS" => self = self.encrypt().await?,
                "EHLO" => {
                    self.mail = None;
                    let capabilities = self.capabilities();
                    self.answer("EHLO", &capabilities).await?;
                }
                _ => {
                    let reply = self.usual_reply(&verb, argument);
                    self.answer(&verb, reply).await?;
                }
            }
            if verb == "QUIT" {
                return Ok(());
            }
        }
    }

    fn capabilities(&self) -> String {
        let mut lines = vec!["sink", "PIPELINING", "8BITMIME"];
        if matches!(self.options.encryption, Encryption::StartTls(_)) && !self.encrypted {
            lines.push("STARTTLS");
        }
        if self.options.login.is_some() {
            lines.push(match self.options.mechanisms {
                "" => "AUTH PLAIN LOGIN",
                some => some,
            });
        }
        let last = lines.len() - 1;
        let line = |(nth, text): (usize, &&str)| format!("250{}{text}", if nth == last { " " } else { "-" });
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    /// Handles a command and returns the reply without faults.
    fn usual_reply(&mut self, verb: &str, argument: &str) -> &'static str {
        match (verb, &mut self.mail) {
            ("HELO" | "RSET", mail) => {
                *mail = None;
                "250 2.0.0 ok"
            }
            ("MAIL", _) if !self.logged_in => "530 5.7.0 log in first",
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

    async fn encrypt(mut self) -> io::Result<Self> {
        let Encryption::StartTls(acceptor) = self.options.encryption.clone() else {
            self.reply("502 5.5.1 unknown command").await?;
            return Ok(self);
        };
        self.answer("STARTTLS", "220 2.0.0 go ahead").await?;
        let stream: Box<dyn Stream> = Box::new(acceptor.accept(self.stream.into_inner()).await?);
        Ok(Self { stream: BufStream::new(stream), encrypted: true, mail: None, ..self })
    }

    /// AUTH PLAIN with an initial response, and AUTH LOGIN.
    async fn log_in(&mut self, argument: &str) -> io::Result<()> {
        let given = match argument.split_once(' ') {
            Some(("PLAIN", response)) => {
                let text = decoded(response);
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                Some((parts.next().unwrap_or_default(), parts.next().unwrap_or_default()))
            }
            _ if argument == "LOGIN" => {
                self.reply("334 VXNlcm5hbWU6").await?;
                let user = self.line().await?;
                self.reply("334 UGFzc3dvcmQ6").await?;
                let password = self.line().await?;
                let text = |line: Vec<u8>| decoded(String::from_utf8_lossy(&line).trim_end());
                Some((text(user), text(password)))
            }
            _ => None,
        };
        self.logged_in = given.is_some() && given == self.options.login;
        let usual = if self.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" };
        self.answer("AUTH", usual).await
    }

    /// Receives the data of a mail and behaves as scripted.
    async fn data(&mut self) -> io::Result<()> {
        let Some((mut mail, behaviour)) = self.mail.take().filter(|(mail, _)| !mail.to.is_empty()) else {
            return self.reply("503 5.5.1 no valid recipients").await;
        };
        if !self.answer_unless_fault("DATA", "354 go ahead").await? {
            return Ok(());
        }
        let mut raw = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        mail.raw = String::from_utf8_lossy(&raw).into_owned();
        if let Some(fault) = self.shared.fault("END") {
            return self.fail(&fault).await;
        }
        match behaviour {
            Behaviour::Accept | Behaviour::AcceptThenDrop => {
                self.shared.mails.send_modify(|mails| mails.push(mail));
                if behaviour == Behaviour::AcceptThenDrop {
                    return Err(CLOSE.into());
                }
                self.reply("250 2.0.0 kept").await
            }
            Behaviour::Temporary => self.reply("451 4.3.0 try again later").await,
            Behaviour::Permanent => self.reply("550 5.1.1 no such mailbox").await,
            // Waits until the client gives up.
            Behaviour::Hang => loop {
                self.line().await?;
            },
            Behaviour::Drop => Err(CLOSE.into()),
        }
    }

    /// The next line with its line break; the end of the stream is an error.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    /// Sends the planned fault for the command, or else the usual reply.
    async fn answer(&mut self, command: &str, usual: &str) -> io::Result<()> {
        self.answer_unless_fault(command, usual).await.map(drop)
    }

    /// The same; returns whether it was the usual reply.
    async fn answer_unless_fault(&mut self, command: &str, usual: &str) -> io::Result<bool> {
        match self.shared.fault(command) {
            Some(fault) => self.fail(&fault).await.map(|()| false),
            None => self.reply(usual).await.map(|()| true),
        }
    }

    async fn fail(&mut self, fault: &str) -> io::Result<()> {
        if !fault.is_empty() {
            self.reply(fault).await?;
        }
        if fault.is_empty() || fault.starts_with("421") { Err(CLOSE.into()) } else { Ok(()) }
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }
}

fn decoded(text: &str) -> String {
    base64_decode(text.as_bytes())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The address in `FROM:<a@b> BODY=8BITMIME`.
fn path(argument: &str) -> String {
    let inside = argument.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(argument, |(address, _)| address).to_owned()
}
