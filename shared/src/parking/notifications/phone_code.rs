//! The SMS with the code that proves a phone number.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{Channel, Delivery, IfUnknown, send_once},
    sms,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::phone_codes,
    platform::db::sql,
};

/// Sends a code to the phone number of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendPhoneCode {
    /// The user.
    pub user_id: i64,
}

/// The job that sends a code to the phone number of a user. There is one at a time.
///
/// # Errors
/// As [`NewJob::of`].
pub fn phone_code(user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendPhoneCode { user_id })?.owner(user_id).unique(user_id.to_string()))
}

impl Job for SendPhoneCode {
    const NAME: &'static str = "send-phone-code";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (app, db) = (&context.app, context.app.db.read());
        let Some(twilio) = app.config.notifications.sms.clone() else {
            return Ok(Done::skipped("TWILIO_ACCOUNT_SID is not set"));
        };
        let Some(stored) = unverified_number(db, self.user_id).await? else {
            return Ok(Done::skipped("the user has no phone number to verify"));
        };
        let to = match spelling::phone(&stored, app.config.phone_country) {
            Ok(number) => number,
            Err(why) => return Ok(Done::skipped(format!("the phone number {why}"))),
        };
        let code = phone_codes::issue(app, context.id, self.user_id, &stored).await?;
        let minutes = phone_codes::LIFETIME.num_minutes();
        let text = format!("Parkade: your code is {code}. It is valid for {minutes} minutes.");
        let delivery = Delivery {
            key: format!("sms:phone-code:{}", context.id),
            kind: "phone_code",
            channel: Channel::Sms,
            user_id: Some(self.user_id),
            // The user requests another one.
            if_unknown: IfUnknown::Hold,
        };
        send_once(context, &delivery, |_| async move { sms::send(&twilio, to, text).await }).await
    }
}

async fn unverified_number(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    let text = "SELECT phone_number FROM users
        WHERE id = $1 AND deleted_at IS NULL AND phone_verified_at IS NULL AND phone_number IS NOT NULL";
    let row = db.query_one_raw(sql(db, text, [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "phone_number")).transpose()?)
}
