//! How mails are sent.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{parse, sources::Sources};

/// How mails are sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `MAIL_SERVER`; without it, mails become files in `folder`.
    pub server: Option<String>,
    /// `MAIL_PORT`.
    pub port: u16,
    /// `MAIL_USE_TLS`: STARTTLS is required.
    pub use_tls: bool,
    /// `MAIL_USE_SSL`: the connection is encrypted from its first byte.
    pub use_ssl: bool,
    /// `MAIL_CA_FILE`: trusted in addition to the public authorities.
    pub ca_file: Option<PathBuf>,
    /// `MAIL_USERNAME` and `MAIL_PASSWORD`.
    pub credentials: Option<(String, SecretString)>,
    /// `MAIL_DEFAULT_SENDER`.
    pub sender: String,
    /// `MAIL_FOLDER`.
    pub folder: PathBuf,
}

/// How a connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// With STARTTLS before anything else; a server without it gets no mail.
    StartTls,
    /// From the first byte.
    FromStart,
}

/// The port of SMTP over TLS (RFC 8314, 3.3).
const IMPLICIT_TLS_PORT: u16 = 465;

impl Mail {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let credentials = from.pair("MAIL_USERNAME", "MAIL_PASSWORD");
        Some(Self {
            server: from.text("MAIL_SERVER"),
            port: from.number("MAIL_PORT", 1..=65535)?,
            use_tls: from.parse("MAIL_USE_TLS", parse::boolean)?,
            use_ssl: from.parse("MAIL_USE_SSL", parse::boolean)?,
            ca_file: from.text("MAIL_CA_FILE").map(PathBuf::from),
            credentials: credentials.map(|(user, password)| (user, password.into())),
            sender: from.parse("MAIL_DEFAULT_SENDER", |text| {
                let mailbox = text.parse::<lettre::message::Mailbox>();
                mailbox.map(|_| text.to_owned()).map_err(|e| format!("is not a mail address: {e}"))
            })?,
            folder: from.text("MAIL_FOLDER")?.into(),
        })
    }

    /// How the connection is encrypted.
    #[must_use]
    pub fn encryption(&self) -> Encryption {
        if self.use_ssl || self.port == IMPLICIT_TLS_PORT {
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
            assert!(problems.to_string().contains("requires MAIL_"), "{problems}");
            assert!(!problems.to_string().contains("a-secret"));
        }
    }
}
