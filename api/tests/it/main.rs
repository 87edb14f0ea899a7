//! The API from outside: real servers, real databases, a file a slice.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "this is test code")]

mod accounts;
mod bookings;
mod exports;
mod forged;
mod lots;
mod model;
mod openapi;
mod race;
mod redis_away;
mod reports;
mod starting;
mod support;
mod wrap;
mod wrong_input;
