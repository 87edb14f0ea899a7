//! Confirming a booking, by mail and by SMS.

mod booking;
mod enqueue;
mod mail;
mod sms;

pub use enqueue::{confirm_booking, confirmation};
pub use mail::SendConfirmation;
pub use sms::SendSms;
