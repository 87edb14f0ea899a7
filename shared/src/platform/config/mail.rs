//! How mails leave.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{Sources, sources::yes_or_no};

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
}

/// Whether and when a connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// By STARTTLS, before anything that matters; a server without it gets no mail.
    StartTls,
    /// From the first byte.
    FromStart,
}

/// The port on which TLS begins at once (RFC 8314, 3.3).
const TLS_FROM_START: u16 = 465;

impl Mail {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let port = from.number("MAIL_PORT", 1..=65535);
        let use_tls = from.parse("MAIL_USE_TLS", yes_or_no);
        let use_ssl = from.parse("MAIL_USE_SSL", yes_or_no);
        let credentials = match (from.text("MAIL_USERNAME"), from.text("MAIL_PASSWORD")) {
            (Some(user), Some(password)) => Some((user, password.into())),
            (None, None) => None,
            (Some(_), None) => {
                from.problem("MAIL_USERNAME", "goes with MAIL_PASSWORD, which is missing");
                None
            }
            (None, Some(_)) => {
                from.problem("MAIL_PASSWORD", "goes with MAIL_USERNAME, which is missing");
                None
            }
        };
        let sender = from.parse("MAIL_DEFAULT_SENDER", |text| {
            text.parse::<lettre::message::Mailbox>()
                .map(|_| text.to_owned())
                .map_err(|e| format!("no mail address: {e}"))
        });
        Some(Self {
            server: from.text("MAIL_SERVER"),
            port: port?,
            use_tls: use_tls?,
            use_ssl: use_ssl?,
            ca_file: from.text("MAIL_CA_FILE").map(PathBuf::from),
            credentials,
            sender: sender?,
            folder: from.text("MAIL_FOLDER")?.into(),
        })
    }

    /// Whether and when the connection is encrypted.
    #[must_use]
    pub fn encryption(&self) -> Encryption {
        if self.use_ssl || self.port == TLS_FROM_START {
            Encryption::FromStart
        } else if self.use_tls {
            Encryption::StartTls
        } else {
            Encryption::Never
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    #[test]
    fn port_and_flags_decide_the_encryption() {
        for (port, tls, ssl, expected) in [
            ("587", "true", "false", Encryption::StartTls),
            ("25", "false", "false", Encryption::Never),
            ("587", "false", "true", Encryption::FromStart),
            ("587", "true", "true", Encryption::FromStart),
            ("465", "true", "false", Encryption::FromStart),
            ("465", "false", "false", Encryption::FromStart),
        ] {
            let settings = [("MAIL_PORT", port), ("MAIL_USE_TLS", tls), ("MAIL_USE_SSL", ssl)];
            let config = Config::load(Sources::of(settings)).unwrap();
            assert_eq!(config.mail.encryption(), expected, "{settings:?}");
        }
    }

    #[test]
    fn user_and_password_go_together() {
        for name in ["MAIL_USERNAME", "MAIL_PASSWORD"] {
            let problems = Config::load(Sources::of([(name, "a-secret")])).unwrap_err();
            assert!(problems.to_string().contains("goes with"), "{problems}");
            assert!(!problems.to_string().contains("a-secret"));
        }
    }
}
