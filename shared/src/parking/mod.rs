//! What the product is about, one capability per folder.
//!
//! A folder imports only folders above it in this list.

pub mod rules;

pub mod activity;
pub mod audit;
pub mod lots;
pub mod phone_codes;
pub mod reports;
pub mod second_factor;
pub mod tariffs;
pub mod tokens;

pub mod notifications;

pub mod bookings;

pub mod exports;

pub mod accounts;
