//! Notifications by other means than mail.

use secrecy::SecretString;

use super::{parse, sources::Sources};

/// The host of every Google Chat webhook.
pub const GOOGLE_CHAT_HOST: &str = "chat.googleapis.com";

/// Google Chat, SMS and alerts.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// `GOOGLE_CHAT_WEBHOOK_URL`, which contains a key.
    pub chat: Option<SecretString>,
    /// `TWILIO_*`; without it, no SMS is sent.
    pub sms: Option<Twilio>,
    /// `ALERT_DISK_PERCENT`: the disk usage that raises an alert.
    pub disk_alert_percent: u8,
}

/// The account that sends SMS.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// `TWILIO_ACCOUNT_SID`.
    pub account: String,
    /// `TWILIO_AUTH_TOKEN`.
    pub token: SecretString,
    /// `TWILIO_FROM`: the sender's number.
    pub from: String,
    /// `TWILIO_API_URL`, without a trailing slash.
    pub url: String,
}

impl Notifications {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let begin = format!("https://{GOOGLE_CHAT_HOST}/");
        Some(Self {
            chat: from.parse("GOOGLE_CHAT_WEBHOOK_URL", |url| {
                url.starts_with(&begin).then(|| url.into()).ok_or_else(|| format!("must begin with {begin}"))
            }),
            sms: Twilio::read(from),
            disk_alert_percent: from.number("ALERT_DISK_PERCENT", 1..=100)?,
        })
    }
}

impl Twilio {
    fn read(from: &mut Sources) -> Option<Self> {
        const NAMES: [&str; 3] = ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"];
        let values = NAMES.map(|name| from.text(name));
        if values.iter().any(Option::is_some) {
            for (name, _) in NAMES.iter().zip(&values).filter(|(_, value)| value.is_none()) {
                from.problem(name, "is missing; the three TWILIO_ settings go together");
            }
        }
        let url = from.parse("TWILIO_API_URL", parse::api_url)?;
        let [account, token, number] = values;
        let account = account?;
        if !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            from.problem("TWILIO_ACCOUNT_SID", "must be letters and digits");
        }
        Some(Self { account, token: token?.into(), from: number?, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

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
