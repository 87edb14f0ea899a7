//! What the product is about, one capability per folder.

pub mod accounts;
pub mod activity;
pub mod bookings;
pub mod exports;
pub mod lots;
pub mod notifications;
pub mod reminders;
pub mod reports;
