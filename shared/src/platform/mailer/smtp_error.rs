//! What a failed step with a mail server means, with advice and without addresses.

use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::Error as SmtpError;

use super::smtp_reply::{Meaning, Step, classify};
use crate::{base::send_error::SendError, platform::templates::one_line};

/// What a failed step means for the mail. `lost` is for a connection that broke instead of a reply.
pub(super) fn failure(
    step: Step,
    (host, port): (&str, u16),
    error: &SmtpError,
    lost: fn(String) -> SendError,
) -> SendError {
    let why = redacted(error);
    if is_about_tls(error) {
        return SendError::Setup(format!(
            "the connection cannot be encrypted securely ({why}); MAIL_SERVER, now {host}, must be a name in the \
             server's certificate, MAIL_CA_FILE its authority unless that is a public one, and MAIL_USE_SSL=true \
             is for servers that encrypt from the first byte"
        ));
    }
    let Some(code) = error.status() else {
        return match (step, error.is_client()) {
            (Step::Reach | Step::Encrypt | Step::LogIn | Step::Sender, true) => {
                SendError::Setup(format!("{why}; {}", unsupported(step)))
            }
            (Step::Reach, false) => unreachable(host, port, &why),
            _ => lost(why),
        };
    };
    match classify(step, code.into(), &innermost(error).to_string()) {
        Meaning::Away => SendError::NotSent(why),
        Meaning::Misconfigured => SendError::Setup(format!("{why}; {}", advice(step))),
        Meaning::Policy => SendError::Policy(format!("{why}; {}", advice(step))),
        Meaning::Deferred => SendError::Temporary(why),
        Meaning::Rejected => SendError::Permanent(why),
    }
}

fn advice(step: Step) -> &'static str {
    match step {
        Step::Reach => "the server does not accept mail from this machine; check MAIL_EHLO_NAME",
        Step::Encrypt => "the server refuses to encrypt",
        Step::LogIn => "check MAIL_USERNAME and MAIL_PASSWORD",
        Step::Sender => "check MAIL_DEFAULT_SENDER, and whether the server requires a login",
        Step::Recipient => {
            "check MAIL_EHLO_NAME, whether the server requires a login, and whether it relays mail for this machine"
        }
        Step::Content => "check whether MAIL_DEFAULT_SENDER may send through this server",
    }
}

/// What to do about a server that lacks something that a step needs.
fn unsupported(step: Step) -> &'static str {
    match step {
        Step::Encrypt => {
            "nothing was sent; MAIL_USE_SSL=true is for servers that encrypt from the first byte, and \
             MAIL_USE_TLS=false sends unencrypted"
        }
        Step::LogIn => "the server must support PLAIN or LOGIN authentication",
        _ => advice(step),
    }
}

pub(super) fn unreachable(host: &str, port: u16, why: &str) -> SendError {
    SendError::NotSent(format!(
        "{host}:{port} cannot be reached ({why}); check MAIL_SERVER and MAIL_PORT, and MAIL_USE_SSL, which is for \
         servers that encrypt from the first byte"
    ))
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
    let cause = innermost(error);
    let code = error.status().map(|code| format!("{code} ")).unwrap_or_default();
    let line = one_line(&format!("{code}{cause}"));
    let words = line.split(' ').map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

fn innermost(error: &SmtpError) -> &dyn std::error::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
