//! The SMS that confirms a booking, if an account for SMS is set and the driver's number is verified.

use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{booking::Booking, limit};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::notifications::{
        delivery::{Channel, Delivery, IfUnknown, send_once},
        format::local_time,
        has_verified_email, sms,
    },
    platform::{db::sql, templates::one_line},
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
            None => return skipped("the user has no verified phone number"),
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
        send_once(context, &delivery, |_| async move { sms::send(&twilio, to, text).await }).await
    }
}

async fn phone(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    let text =
        "SELECT phone_number FROM users WHERE id = $1 AND deleted_at IS NULL AND phone_verified_at IS NOT NULL
            AND phone_number IS NOT NULL";
    let row = db.query_one_raw(sql(db, text, [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "phone_number")).transpose()?)
}
