//! Enqueueing the confirmations of a booking.

use super::{mail::SendConfirmation, sms::SendSms};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Change, NewJob},
};

/// The job that confirms a booking by mail.
///
/// # Errors
/// As [`NewJob::of`].
pub fn confirmation(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendConfirmation { reservation_id })?.owner(user_id).unique(reservation_id.to_string()))
}

/// Enqueues the confirmations of a booking: a mail, and an SMS if an account for that is set.
pub async fn confirm_booking(
    app: &App,
    change: &mut Change,
    reservation_id: i64,
    user_id: i64,
) -> Result<()> {
    change.enqueue(&confirmation(reservation_id, user_id)?).await?;
    if app.config.notifications.sms.is_some() {
        let sms = NewJob::of(&SendSms { reservation_id })?.owner(user_id).unique(reservation_id.to_string());
        change.enqueue(&sms).await?;
    }
    Ok(())
}
