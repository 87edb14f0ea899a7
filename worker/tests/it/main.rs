//! Jobs end to end, with a real Redis and both databases; crash tests use the built binaries.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

#[macro_use]
mod support;

mod cleanup;
mod clocks;
mod costs;
mod crashes;
mod disk;
mod events;
mod ledger;
mod mail_outages;
mod mails;
mod metrics;
mod monthly;
mod notices;
mod operators;
mod pace;
mod passwords;
mod phones;
mod redis_access;
mod redis_servers;
mod reminders;
mod schedules;
mod smtp;
mod spans;
mod status;
mod stop;
mod traps;
