//! Tables as sea-orm models, without behaviour. The columns are documented in `migration/src`.

#![expect(missing_docs, reason = "columns are documented where the tables are defined")]

pub mod activity;
pub mod cron_tick;
pub mod email_delivery;
pub mod export;
pub mod idempotency_key;
pub mod lot;
pub mod paused_queue;
pub mod reservation;
pub mod session;
pub mod spot;
pub mod user;
