//! An SMTP server in this process that keeps all mails and fails on demand.

mod message;
mod script;
mod session;
mod sink;

pub use message::{Attachment, Mail};
pub use script::{Behaviour, Encryption, Options, ReceivedLine};
pub use sink::MailSink;
