//! What it means that a step with a mail server failed, in words that say what to do and hold no address.

use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::Error as SmtpError;

use super::SendError;
use crate::platform::templates::one_line;

/// What was being done before the recipient was spoken of. All of that is about us, not about the mail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Reach,
    Encrypt,
    LogIn,
    Sender,
}

impl Stage {
    /// A refusal for good is for an operator to see to; the mail waits for it.
    pub(super) fn trouble(self, host: &str, port: u16, error: &SmtpError) -> SendError {
        let why = redacted(error);
        if is_about_tls(error) {
            return SendError::Setup(format!(
                "no encryption that can be trusted ({why}); MAIL_SERVER, now {host}, must be a name in the server's \
                 certificate, MAIL_CA_FILE its authority unless that is a public one, and MAIL_USE_SSL=true is for \
                 servers that encrypt from the first byte"
            ));
        }
        let for_good = error.is_permanent() || error.is_client();
        let advice = match self {
            _ if error.is_transient() => return SendError::NotSent(why),
            Self::Reach if !for_good => return unreachable(host, port, &why),
            _ if !for_good => return SendError::NotSent(why),
            Self::Reach => "the server takes no mail from here",
            Self::Encrypt if error.is_client() => {
                "nothing was sent; MAIL_USE_SSL=true is for servers that encrypt from the first byte, and \
                 MAIL_USE_TLS=false sends in clear"
            }
            Self::Encrypt => "the server refuses to encrypt",
            Self::LogIn if error.is_client() => "the server must offer a login by PLAIN or LOGIN",
            Self::LogIn => "check MAIL_USERNAME and MAIL_PASSWORD",
            Self::Sender => "check MAIL_DEFAULT_SENDER, and whether the server wants a login",
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

/// A refusal of the mail is an answer; `lost` is what anything else means here.
pub(super) fn refusal(error: &SmtpError, lost: fn(String) -> SendError) -> SendError {
    let meaning = if error.is_permanent() {
        SendError::Permanent
    } else if error.is_transient() {
        SendError::Temporary
    } else {
        lost
    };
    meaning(redacted(error))
}

pub(super) fn silence(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// Whether the handshake failed, rather than the connection.
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

/// The server's words, or those of the innermost cause, on one line and without the address that they often repeat.
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
