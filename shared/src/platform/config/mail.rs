//! How mails are sent.

use std::{net::IpAddr, path::PathBuf};

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
    /// `MAIL_EHLO_NAME`; the name of the machine by default.
    pub ehlo_name: Option<String>,
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
            ehlo_name: from.parse("MAIL_EHLO_NAME", ehlo_name),
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

/// A host name with a domain, or an address in brackets (RFC 5321, 4.1.2).
fn ehlo_name(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_valid = match address {
        Some(address) => address.strip_prefix("IPv6:").unwrap_or(address).parse::<IpAddr>().is_ok(),
        None => text.contains('.') && text.split('.').all(is_label),
    };
    is_valid
        .then(|| text.to_owned())
        .ok_or("must be a full host name such as parking.example.com, or [192.0.2.1]")
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
    fn ehlo_name_is_a_full_host_name() {
        for name in ["parking.example.com", "a-1.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
            assert_eq!(ehlo_name(name).as_deref(), Ok(name));
        }
        for name in ["localhost", "a_b.example", "a..example", "-a.example", "[x]", "a.example\r\nMAIL", ""] {
            assert!(ehlo_name(name).is_err(), "{name:?}");
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
