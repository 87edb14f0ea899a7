//! Random faults: a seeded plan of them is injected under load, and afterwards everything that was requested is checked
//! against what has happened.

mod cluster;
mod evidence;
mod inject;
mod journal;
mod ledger;
mod load;
mod outputs;
mod plan;
mod quiet;
mod run;
mod timings;
pub mod worker;

pub use run::{Options, run};
