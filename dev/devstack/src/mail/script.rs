//! How the sink behaves, and what it has received.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::message::Mail;

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
    /// Keeps the mail, then closes the connection without an answer.
    AcceptThenDrop,
}

/// What the sink requires of its clients.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether and when connections are encrypted.
    pub encryption: Encryption,
    /// User and password; with these, no mail is accepted before a login.
    pub login: Option<(String, String)>,
    /// The advertised mechanisms, for example `AUTH LOGIN`; PLAIN and LOGIN if empty.
    pub mechanisms: &'static str,
}

/// Whether and when connections are encrypted.
#[derive(Clone, Default)]
pub enum Encryption {
    /// Never.
    #[default]
    Never,
    /// After the client sends STARTTLS.
    StartTls(TlsAcceptor),
    /// From the first byte.
    FromStart(TlsAcceptor),
}

/// A line that a client has sent outside the content of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedLine {
    /// Without its line break.
    pub line: String,
    /// Whether it was sent over an encrypted connection.
    pub encrypted: bool,
}

/// The state of a sink, shared by its connections.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) mails: watch::Sender<Vec<Mail>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Applies once the script is used up.
    pub(super) default: Behaviour,
    pub(super) script: VecDeque<Behaviour>,
    /// Commands and the replies to the next of each.
    pub(super) faults: VecDeque<(String, String)>,
    /// Commands and the replies to all of each.
    pub(super) standing: Vec<(String, String)>,
    pub(super) attempts: usize,
    pub(super) connections: usize,
    pub(super) received: Vec<ReceivedLine>,
}

impl Shared {
    /// Counts a new mail and decides what to do with it.
    pub(super) fn begin(&self) -> Behaviour {
        let mut state = self.state.lock();
        state.attempts += 1;
        state.script.pop_front().unwrap_or(state.default)
    }

    /// The planned reply to this command: one that is used once, or one that stays.
    pub(super) fn fault(&self, command: &str) -> Option<String> {
        let mut state = self.state.lock();
        let is_planned = |(planned, _): &(String, String)| planned == command;
        if let Some(index) = state.faults.iter().position(is_planned) {
            return state.faults.remove(index).map(|(_, reply)| reply);
        }
        state.standing.iter().find(|one| is_planned(one)).map(|(_, reply)| reply.clone())
    }
}
