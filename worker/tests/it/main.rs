//! Jobs from end to end: on a real Redis, on both databases, and where it is about crashes with the built binaries.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

#[macro_use]
mod support;

mod cleanup;
mod crashes;
mod disk;
mod events;
mod ledger;
mod mails;
mod metrics;
mod monthly;
mod notices;
mod operators;
mod pace;
mod redis_servers;
mod reminders;
mod schedules;
mod smtp;
mod status;
mod stop;
mod traps;
