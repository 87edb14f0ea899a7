//! Scenarios: one kind of fault under a steady load, and what callers see of it.

mod balancer;
mod database;
mod disk;
mod failover;
mod load;
mod open_loop;
mod overload;
mod probes;
mod redis;
mod rolling;
mod run;
mod testbed;

pub use run::{Options, run};
