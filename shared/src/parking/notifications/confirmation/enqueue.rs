//! Enqueueing the confirmations of a booking.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{mail::SendConfirmation, sms::SendSms};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Enqueued, NewJob, ledger},
};

/// The job that confirms a booking by mail.
///
/// # Errors
/// As [`NewJob::of`].
pub fn confirmation(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendConfirmation { reservation_id })?.owner(user_id).unique(reservation_id.to_string()))
}

/// Enqueues the confirmations of a booking in its transaction: a mail, and an SMS if an account for that is set.
pub async fn tell_of_booking(
    app: &App,
    tx: &impl ConnectionTrait,
    now: DateTime<Utc>,
    reservation_id: i64,
    user_id: i64,
) -> Result<Vec<Enqueued>> {
    let mut told = vec![ledger::insert(tx, now, &confirmation(reservation_id, user_id)?).await?];
    if app.config.notifications.sms.is_some() {
        let sms = NewJob::of(&SendSms { reservation_id })?.owner(user_id).unique(reservation_id.to_string());
        told.push(ledger::insert(tx, now, &sms).await?);
    }
    Ok(told)
}
