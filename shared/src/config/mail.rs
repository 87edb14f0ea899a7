//! How mails leave.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{Sources, sources::yes_or_no};
use crate::rate_limit::Budget;

/// How mails leave.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `MAIL_SERVER`; without one, mails become files in `folder`.
    pub server: Option<String>,
    /// `MAIL_PORT`.
    pub port: u16,
    /// `MAIL_USE_TLS`: STARTTLS is then required.
    pub use_tls: bool,
    /// `MAIL_USE_SSL`: the connection is encrypted from its first byte.
    pub use_ssl: bool,
    /// `MAIL_CA_FILE`: trusted beside the public authorities.
    pub ca_file: Option<PathBuf>,
    /// `MAIL_USERNAME` and `MAIL_PASSWORD`.
    pub credentials: Option<(String, SecretString)>,
    /// `MAIL_DEFAULT_SENDER`.
    pub sender: String,
    /// `MAIL_FOLDER`.
    pub folder: PathBuf,
    /// `MAIL_RATE_LIMIT`: mails of all workers together.
    pub rate_limit: Budget,
}

impl Mail {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let port = from.number("MAIL_PORT", 1..=65535);
        let use_tls = from.parse("MAIL_USE_TLS", yes_or_no);
        let use_ssl = from.parse("MAIL_USE_SSL", yes_or_no);
        let credentials = match (from.text("MAIL_USERNAME"), from.text("MAIL_PASSWORD")) {
            (Some(user), Some(password)) => Some((user, password.into())),
            _ => None,
        };
        let sender = from.parse("MAIL_DEFAULT_SENDER", |text| {
            text.parse::<lettre::message::Mailbox>()
                .map(|_| text.to_owned())
                .map_err(|e| format!("no mail address: {e}"))
        });
        let rate_limit = from.parse("MAIL_RATE_LIMIT", str::parse::<Budget>);
        Some(Self {
            server: from.text("MAIL_SERVER"),
            port: port?,
            use_tls: use_tls?,
            use_ssl: use_ssl?,
            ca_file: from.text("MAIL_CA_FILE").map(PathBuf::from),
            credentials,
            sender: sender?,
            folder: from.text("MAIL_FOLDER")?.into(),
            rate_limit: rate_limit?,
        })
    }
}
