//! The SMS that confirms a booking, sent through Twilio if an account is set.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{booking::Booking, limit};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::notifications::{
        delivery::{Channel, Delivery, IfUnknown, send_once},
        format::local_time,
        has_verified_email,
    },
    platform::{
        config::Twilio,
        db::sql,
        http::{self, Body, Post, Rules},
        mailer::SendError,
        templates::one_line,
    },
};

/// In characters: two segments of an SMS in the GSM alphabet.
const MAX_LENGTH: usize = 300;

const KIND: &str = "sms_confirmation";

/// Confirms a booking by SMS.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendSms {
    /// The booking.
    pub reservation_id: i64,
}

impl Job for SendSms {
    const NAME: &'static str = "send-sms";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);
    const MAX_ATTEMPTS: i64 = 10;

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let skipped = |why: &str| Ok(Done::skipped(why));
        let Some(twilio) = config.notifications.sms.clone() else {
            return skipped("TWILIO_ACCOUNT_SID is not set");
        };
        let booking = match Booking::find(db, self.reservation_id).await? {
            Ok(booking) => booking,
            Err(why) => return skipped(&why),
        };
        if config.require_verified_email && !has_verified_email(db, booking.user_id).await? {
            return skipped("the user has not verified the mail address");
        }
        let to = match phone(db, booking.user_id).await? {
            None => return skipped("the user has no phone number"),
            Some(number) => match spelling::phone(&number, config.phone_country) {
                Ok(number) => number,
                Err(why) => return skipped(&format!("the phone number {why}")),
            },
        };
        let key = format!("sms:confirmation:{}", self.reservation_id);
        let limit = config.parking.fair_use.sms;
        if limit::is_reached(context, booking.user_id, KIND, &key, limit, TimeDelta::days(1)).await? {
            return skipped("the driver has had enough SMS today");
        }
        let start = local_time(booking.starts_at, config.zone);
        let text = format!(
            "Parkade: spot {} at {} is yours from {start}. Booking {}.",
            booking.number, booking.location_name, self.reservation_id
        );
        let delivery = Delivery {
            key,
            kind: KIND,
            channel: Channel::Sms,
            user_id: Some(booking.user_id),
            // An SMS costs money, and the mail says the same.
            if_unknown: IfUnknown::Hold,
        };
        let text: String = one_line(&text).chars().take(MAX_LENGTH).collect();
        send_once(context, &delivery, |_| async move { send(&twilio, to, text).await }).await
    }
}

async fn phone(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    let text =
        "SELECT phone_number FROM users WHERE id = $1 AND deleted_at IS NULL AND phone_number IS NOT NULL";
    let row = db.query_one_raw(sql(db, text, [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "phone_number")).transpose()?)
}

/// Sends a message through Twilio's API.
async fn send(twilio: &Twilio, to: String, text: String) -> Result<(), SendError> {
    let allow_http = twilio.url.starts_with("http://");
    let authority = twilio.url.trim_start_matches("https://").trim_start_matches("http://");
    // Unencrypted to this machine only; encrypted to whatever host the operator has set.
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
    answer.into_result().map_err(|refused| match (refused, error_code(&answer.body)) {
        // Only the code: Twilio's message repeats the phone number.
        (SendError::Permanent(why), Some(code)) => {
            SendError::Permanent(format!("{why}, Twilio error {code}"))
        }
        (other, _) => other,
    })
}

/// The code of Twilio's error.
fn error_code(body: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?.get("code")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_error_is_read() {
        assert_eq!(
            error_code(r#"{"code": 21211, "message": "The 'To' number +91… is not valid"}"#),
            Some(21211)
        );
        for body in ["", "null", "{}", "[1]", "<html>", r#"{"code": "x"}"#] {
            assert_eq!(error_code(body), None, "{body}");
        }
    }
}
