//! The worker: takes jobs from the queues, runs them, and feeds the queues from the ledger.

pub mod alerts;
mod audit_linker;
mod batches;
pub mod cli;
pub mod consume;
pub mod consumers;
pub mod health;
pub mod metrics;
pub mod registry;
mod run;
pub mod table;
pub mod upkeep;
mod worker;

pub use worker::Worker;
