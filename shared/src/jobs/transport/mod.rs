//! The way from the ledger to the workers: messages and signals in Redis database 1.
//!
//! A message holds only the id of a job. A lost message delays a job until the relay pushes another, and a second one
//! changes nothing, because jobs are claimed in the ledger.
//!
//! apalis-redis keeps the messages: a Lua script moves a message to one consumer, heartbeats show which consumers are
//! alive, and messages of a dead consumer are delivered again. It decides nothing about jobs: attempts, pauses and
//! results are the ledger's. [`queue`] and `worker/src/consume.rs` are the only files that import it.

pub mod queue;
pub mod relay;
pub mod selection;
pub mod signals;

pub use queue::{announce, announce_soon};
pub use relay::Relay;
pub use signals::Signals;
