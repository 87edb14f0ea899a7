//! Sending mails: by SMTP, as files where there is no server, or into memory in tests.

mod mail;
mod message;
mod sender;
mod smtp;
mod smtp_error;
mod smtp_reply;

pub use self::{
    mail::{Attachment, Inline, Mail},
    sender::{Mailer, Outbox},
    smtp::Smtp,
};
pub use crate::base::send_error::SendError;
