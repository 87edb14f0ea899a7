//! What happens around every request, whichever route it takes.

pub mod admission;
pub mod auth;
pub mod cached;
pub mod drain;
pub mod extract;
pub mod idempotency;
pub mod limits;
pub mod metrics;
pub mod paging;
pub mod problem;
pub mod server;
pub mod stack;
