//! Confirming a booking, by mail and by SMS.

mod booking;
mod enqueue;
mod mail;
mod sms;

pub use enqueue::{confirmation, tell_of_booking};
pub use mail::SendConfirmation;
pub use sms::SendSms;
