//! The SMS that a booking is made, by Twilio. Off unless there is an account.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use sea_orm::ConnectionTrait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    confirmation::Booking,
    delivery::{Channel, Delivery, IfUnknown, once},
    shown,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    platform::{
        config::Twilio,
        db::sql,
        http::{self, Body, Post, Rules},
        mailer::SendError,
        templates::one_line,
    },
};

/// Two parts of an SMS in the letters that phones know best.
const LONGEST: usize = 300;

/// Confirms a booking to its user's phone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendSms {
    /// Which booking.
    pub reservation_id: i64,
}

impl Job for SendSms {
    const NAME: &'static str = "send-sms";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let skipped = |why: &str| Ok(Done::with(json!({ "skipped": why })));
        let Some(twilio) = config.notifications.sms.clone() else {
            return skipped("no account for SMS is set");
        };
        let booking = match Booking::find(db, self.reservation_id).await? {
            Ok(booking) => booking,
            Err(why) => return skipped(&why),
        };
        let to = match phone(db, booking.user_id).await? {
            None => return skipped("the user has no phone number"),
            Some(number) => match e164(&number) {
                Ok(number) => number,
                Err(why) => return skipped(why),
            },
        };
        let start = shown(booking.starts_at, config.zone);
        let text = format!(
            "Parkade: spot {} at {} is yours from {start}. Booking {}.",
            booking.number, booking.location_name, self.reservation_id
        );
        let delivery = Delivery {
            key: format!("sms:confirmation:{}", self.reservation_id),
            kind: "sms_confirmation",
            channel: Channel::Sms,
            user_id: Some(booking.user_id),
            // An SMS costs money, and the mail says the same.
            if_unknown: IfUnknown::Hold,
        };
        let text: String = one_line(&text).chars().take(LONGEST).collect();
        once(context, &delivery, |_| async move { send(&twilio, to, text).await }).await
    }
}

async fn phone(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    let text =
        "SELECT phone_number FROM users WHERE id = $1 AND deleted_at IS NULL AND phone_number IS NOT NULL";
    let row = db.query_one_raw(sql(db, text, [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "phone_number")).transpose()?)
}

/// Asks Twilio to send a message.
async fn send(twilio: &Twilio, to: String, text: String) -> Result<(), SendError> {
    let allow_http = twilio.url.starts_with("http://");
    let authority = twilio.url.trim_start_matches("https://").trim_start_matches("http://");
    // In clear, to this machine only; else to the host that the operator names, wherever that is.
    let is_address_allowed =
        if allow_http { |address: std::net::IpAddr| address.is_loopback() } else { |_| true };
    let authority = authority.to_owned();
    let rules = Rules { authority, is_address_allowed, allow_http, root_certificate: None };
    let login = format!("{}:{}", twilio.account, twilio.token.expose_secret());
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", twilio.url, twilio.account);
    let post = Post {
        url: url.into(),
        authorization: Some(SecretString::from(format!("Basic {}", BASE64_STANDARD.encode(login)))),
        body: Body::Form(vec![("To", to), ("From", twilio.from.clone()), ("Body", text)]),
    };
    let answer = http::send(&rules, post).await?;
    answer.accepted().map_err(|refused| match (refused, code(&answer.body)) {
        // The code says why; the message beside it repeats the number.
        (SendError::Permanent(why), Some(code)) => {
            SendError::Permanent(format!("{why}, Twilio's error {code}"))
        }
        (other, _) => other,
    })
}

/// What Twilio calls an error.
fn code(body: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?.get("code")?.as_i64()
}

/// A phone number in the form of E.164: a plus sign, and up to fifteen digits of which the first ones are the country's.
///
/// # Errors
/// Why it is none, without showing it.
pub(super) fn e164(text: &str) -> Result<String, &'static str> {
    let number: String = text.chars().filter(|c| !" -.()/\u{a0}".contains(*c)).take(20).collect();
    let Some(digits) = number.strip_prefix('+') else {
        return Err("the phone number does not begin with + and a country's code");
    };
    let is_number = (8..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    if is_number { Ok(number) } else { Err("the phone number is none that can be called") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_international_numbers_are_accepted() {
        for (text, expected) in [
            ("+919876543210", Some("+919876543210")),
            ("+91 98765-43210", Some("+919876543210")),
            ("+49 (30) 1234.567", Some("+49301234567")),
            ("+12345678", Some("+12345678")),
            ("+123456789012345", Some("+123456789012345")),
            ("+1234567890123456", None),
            ("+1234567", None),
            ("+0123456789", None),
            ("9876543210", None),
            ("00919876543210", None),
            ("", None),
            ("+", None),
            ("++919876543210", None),
            ("+91987654321a", None),
            ("+９１９８７６５４３２１０", None),
            ("+919876543210\r\nX: y", None),
            ("+919876543210,+919876543211", None),
        ] {
            assert_eq!(e164(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_code_of_an_error_is_read() {
        assert_eq!(code(r#"{"code": 21211, "message": "The 'To' number +91… is not valid"}"#), Some(21211));
        for body in ["", "null", "{}", "[1]", "<html>", r#"{"code": "x"}"#] {
            assert_eq!(code(body), None, "{body}");
        }
    }
}
