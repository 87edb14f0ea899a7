//! Confirming a booking, by mail and by SMS.

mod booking;
mod enqueue;
mod limit;
mod mail;
mod sms;
mod spot_changed;

pub use enqueue::{confirm_booking, confirmation};
pub use mail::SendConfirmation;
pub use sms::SendSms;
pub use spot_changed::{SendSpotChanged, spot_changed};
