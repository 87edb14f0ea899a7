//! Machinery that knows nothing about parking.

pub mod audit;
pub mod cache;
pub mod clock_check;
pub mod config;
pub mod counters;
pub mod db;
pub mod disk;
pub mod entities;
pub mod http;
pub mod idempotency;
pub mod installation;
pub mod keys;
pub mod mailer;
pub mod metrics;
pub mod queue;
pub mod rate_limit;
pub mod redis;
pub mod secrets;
mod setting;
pub mod settings;
pub mod telemetry;
pub mod templates;
