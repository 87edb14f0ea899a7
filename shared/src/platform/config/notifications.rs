//! What tells administrators and drivers of things by other ways than mail.

use secrecy::SecretString;

use super::Sources;

/// Where every webhook of Google Chat is.
pub const GOOGLE_CHAT_HOST: &str = "chat.googleapis.com";

/// Google Chat, SMS, and when the disk counts as nearly full.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// `GOOGLE_CHAT_WEBHOOK_URL`, which holds a key.
    pub chat: Option<SecretString>,
    /// `TWILIO_*`; without an account no SMS is sent.
    pub sms: Option<Twilio>,
    /// `ALERT_DISK_PERCENT`: administrators are told when so much of a disk that we write to is used.
    pub disk_alert_percent: u8,
}

/// An account that sends SMS.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// `TWILIO_ACCOUNT_SID`.
    pub account: String,
    /// `TWILIO_AUTH_TOKEN`.
    pub token: SecretString,
    /// `TWILIO_FROM`: the sender's number.
    pub from: String,
    /// `TWILIO_API_URL`, without a slash at its end.
    pub url: String,
}

impl Notifications {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let sms = Twilio::read(from);
        let chat = from.parse("GOOGLE_CHAT_WEBHOOK_URL", |url| {
            let begin = format!("https://{GOOGLE_CHAT_HOST}/");
            url.starts_with(&begin)
                .then(|| SecretString::from(url))
                .ok_or_else(|| format!("must begin with {begin}"))
        });
        let disk_alert_percent = from.number("ALERT_DISK_PERCENT", 1..=100);
        Some(Self { chat, sms, disk_alert_percent: disk_alert_percent? })
    }
}

impl Twilio {
    /// `None` without an account; one that is only half given is a problem.
    fn read(from: &mut Sources) -> Option<Self> {
        const NAMES: [&str; 3] = ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"];
        let given = NAMES.map(|name| from.text(name));
        if given.iter().any(Option::is_some) {
            for (name, _) in NAMES.iter().zip(&given).filter(|(_, value)| value.is_none()) {
                from.problem(name, "is missing; the three TWILIO_ settings go together");
            }
        }
        let url = from.parse("TWILIO_API_URL", api_url);
        let [account, token, number] = given;
        let account = account?;
        if !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            from.problem("TWILIO_ACCOUNT_SID", "must be letters and digits");
        }
        Some(Self { account, token: token?.into(), from: number?, url: url? })
    }
}

/// An address that a token may be sent to.
fn api_url(text: &str) -> Result<String, &'static str> {
    let url = text.trim_end_matches('/');
    let host = |scheme: &str| {
        url.strip_prefix(scheme).filter(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#']))
    };
    let is_this_machine = |host: &str| matches!(host.split(':').next(), Some("127.0.0.1" | "localhost"));
    if host("https://").is_some() || host("http://").is_some_and(is_this_machine) {
        Ok(url.to_owned())
    } else {
        Err("must be https:// and a host, without a path; http:// only for this machine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    #[test]
    fn tokens_are_never_sent_unencrypted() {
        for url in [
            "https://api.twilio.com",
            "https://api.twilio.com/",
            "http://127.0.0.1:8080",
            "http://localhost:1",
        ] {
            assert_eq!(api_url(url), Ok(url.trim_end_matches('/').to_owned()));
        }
        for url in [
            "http://api.twilio.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "https://",
            "ftp://x",
            "api.twilio.com",
            "https://u:p@api.twilio.com",
            "https://api.twilio.com/x",
            "http://127.0.0.1:80@example.com",
        ] {
            assert!(api_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_webhook_on_another_host_is_rejected_and_not_shown() {
        for url in [
            "http://chat.googleapis.com/v1/spaces/A?key=secret",
            "https://chat.googleapis.com.example.com/secret",
        ] {
            let problems =
                Config::load(Sources::of([("GOOGLE_CHAT_WEBHOOK_URL", url)])).unwrap_err().to_string();
            assert!(problems.contains("must begin with https://chat.googleapis.com/"), "{problems}");
            assert!(!problems.contains("secret"), "{problems}");
        }
    }
}
