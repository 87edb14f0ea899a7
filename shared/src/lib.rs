//! The application: what Parkade can do, a slice a capability. `api` and `worker` are its two front doors.

pub mod accounts;
pub mod activity;
pub mod app;
pub mod bookings;
pub mod cache;
pub mod clock;
pub mod coalesce;
pub mod config;
pub mod counters;
pub mod db;
pub mod demo;
pub mod disk;
pub mod entities;
pub mod error;
pub mod exports;
pub mod http;
pub mod idempotency;
pub mod jobs;
pub mod lots;
pub mod mailer;
pub mod maintenance;
pub mod metrics;
pub mod money;
pub mod notifications;
pub mod page;
pub mod rate_limit;
pub mod redis;
pub mod reminders;
pub mod reports;
pub mod schedules;
pub mod settings;
pub mod telemetry;
pub mod templates;
pub mod time;

pub use error::{Error, Result};
