//! What tells administrators and drivers of things by other ways than mail.

use secrecy::SecretString;

use super::Sources;

/// Google Chat, SMS, and when the disk counts as nearly full.
#[derive(Debug, Clone)]
pub struct Notices {
    /// `GOOGLE_CHAT_WEBHOOK_URL`, which holds a key.
    pub chat: Option<SecretString>,
    /// `TWILIO_*`; without an account no SMS is sent.
    pub sms: Option<Twilio>,
    /// `ALERT_DISK_PERCENT`: administrators are told when so much of a disk that we write to is used.
    pub disk_full_percent: u8,
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

impl Notices {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let sms = Twilio::read(from);
        let disk_full_percent = from.number("ALERT_DISK_PERCENT", 1..=100);
        Some(Self {
            chat: from.text("GOOGLE_CHAT_WEBHOOK_URL").map(SecretString::from),
            sms,
            disk_full_percent: disk_full_percent?,
        })
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
        let [account, token, number] = given;
        Some(Self {
            account: account?,
            token: token?.into(),
            from: number?,
            url: from.text("TWILIO_API_URL")?.trim_end_matches('/').to_owned(),
        })
    }
}
