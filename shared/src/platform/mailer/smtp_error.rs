//! What a failed step with a mail server means, with advice and without addresses.

use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::Error as SmtpError;

use crate::{base::send_error::SendError, platform::templates::one_line};

/// The steps before the recipient is named. Their failures concern the configuration, not the mail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Reach,
    Encrypt,
    LogIn,
    Sender,
}

impl Stage {
    /// A permanent rejection is for an operator to fix; the mail waits until then.
    pub(super) fn error(self, host: &str, port: u16, error: &SmtpError) -> SendError {
        let why = redacted(error);
        if is_about_tls(error) {
            return SendError::Setup(format!(
                "the connection cannot be encrypted securely ({why}); MAIL_SERVER, now {host}, must be a name in the \
                 server's certificate, MAIL_CA_FILE its authority unless that is a public one, and MAIL_USE_SSL=true \
                 is for servers that encrypt from the first byte"
            ));
        }
        let is_permanent = error.is_permanent() || error.is_client();
        let advice = match self {
            _ if error.is_transient() => return SendError::NotSent(why),
            Self::Reach if !is_permanent => return unreachable(host, port, &why),
            _ if !is_permanent => return SendError::NotSent(why),
            Self::Reach => "the server does not accept mail from this machine",
            Self::Encrypt if error.is_client() => {
                "nothing was sent; MAIL_USE_SSL=true is for servers that encrypt from the first byte, and \
                 MAIL_USE_TLS=false sends unencrypted"
            }
            Self::Encrypt => "the server refuses to encrypt",
            Self::LogIn if error.is_client() => "the server must support PLAIN or LOGIN authentication",
            Self::LogIn => "check MAIL_USERNAME and MAIL_PASSWORD",
            Self::Sender => "check MAIL_DEFAULT_SENDER, and whether the server requires a login",
        };
        SendError::Setup(format!("{why}; {advice}"))
    }
}

pub(super) fn unreachable(host: &str, port: u16, why: &str) -> SendError {
    SendError::NotSent(format!(
        "{host}:{port} cannot be reached ({why}); check MAIL_SERVER and MAIL_PORT, and MAIL_USE_SSL, which is for \
         servers that encrypt from the first byte"
    ))
}

/// A reply that rejects the mail, or `lost` if the connection failed instead.
pub(super) fn rejection(error: &SmtpError, lost: fn(String) -> SendError) -> SendError {
    let meaning = if error.is_permanent() {
        SendError::Permanent
    } else if error.is_transient() {
        SendError::Temporary
    } else {
        lost
    };
    meaning(redacted(error))
}

pub(super) fn timed_out(limit: Duration) -> String {
    format!("no reply within {} s", limit.as_secs())
}

/// Whether the TLS handshake failed, rather than the connection.
fn is_about_tls(error: &SmtpError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The server's reply, or the innermost cause, on one line and without the address that it often repeats.
fn redacted(error: &SmtpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let code = error.status().map(|code| format!("{code} ")).unwrap_or_default();
    let line = one_line(&format!("{code}{cause}"));
    let words = line.split(' ').map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
