//! Rows as sea-orm models, without behaviour. What a column means stands in `migration/src`.

#![expect(missing_docs, reason = "columns are documented where the tables are defined")]

pub mod user;
pub mod session;
pub mod lot;
pub mod spot;
pub mod reservation;
pub mod job;
pub mod cron_tick;
pub mod export;
pub mod activity;
pub mod email_delivery;
pub mod idempotency_key;
pub mod paused_queue;
