//! `cargo xtask demo`: runs the whole product on this machine and walks through the main use case as a client sees it.

mod client;
mod run;
mod show;
mod stack;
mod state;
mod story;

pub(crate) use run::{Args, run};
