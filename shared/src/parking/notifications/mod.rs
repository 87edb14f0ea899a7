//! What users and administrators are told, one job each. What they share is in `delivery`: how a message goes once.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    app::App,
    base::error::Result,
    jobs::{Enqueued, NewJob, ledger},
};

pub mod alert;
mod chat;
mod confirmation;
pub mod deliveries;
pub mod delivery;
mod export_ready;
pub mod mailing;
mod monthly_report;
mod notice;
mod receipt;
mod reminder;
#[cfg(test)]
mod samples;
mod sms;
#[cfg(test)]
mod tests;
mod unsubscribe;
mod welcome;

pub use chat::PostToChat;
pub use confirmation::SendConfirmation;
pub use export_ready::SendExportReady;
pub use monthly_report::SendMonthlyReport;
pub use notice::{Notice, SendNotice, tell_administrators, test_mail};
pub use receipt::SendReceipt;
pub use reminder::SendReminder;
pub use sms::SendSms;
pub use unsubscribe::Subscription;
pub use welcome::SendWelcome;

/// The mail that a booking is made.
///
/// # Errors
/// As [`NewJob::of`].
pub fn confirmation(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendConfirmation { reservation_id })?.owner(user_id).unique(reservation_id.to_string()))
}

/// Writes the jobs that tell a user of a booking, in the transaction that makes it: a mail, and an SMS where such are sent.
///
/// # Errors
/// Those of the database.
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

/// The mail that a stay is paid for.
///
/// # Errors
/// As [`NewJob::of`].
pub fn receipt(reservation_id: i64, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendReceipt { reservation_id })?.owner(user_id).unique(reservation_id.to_string()))
}

/// The mail that an export can be had.
///
/// # Errors
/// As [`NewJob::of`].
pub fn export_ready(export_id: Uuid, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendExportReady { export_id })?.owner(user_id).unique(export_id.to_string()))
}

/// The mail to somebody new.
///
/// # Errors
/// As [`NewJob::of`].
pub fn welcome(user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendWelcome { user_id })?.owner(user_id).unique(user_id.to_string()))
}

/// An instant as mails show it: `20 Nov 2026, 18:37 IST`.
#[must_use]
pub fn shown(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).format("%-d %b %Y, %H:%M %Z").to_string()
}

/// Microseconds as hours with a decimal place: `12.5`.
fn shown_hours(micros: i64) -> String {
    let tenths = (micros + 180_000_000) / 360_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
