//! The audit table as a chain: who did what to whom, when and from where. A linker gives each row its place and an HMAC over
//! the row and the one before it, so that whatever is changed afterwards is found.

mod chain;
mod checkpoint;
mod entry;
mod link;
mod list;
mod prune;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub use self::{
    checkpoint::{Checkpoint, checkpoint},
    link::link_pending,
    list::{Filter, Row, list},
    prune::prune,
    verify::{Verdict, verify},
};
pub use crate::platform::audit::{Action, Actor, Object, Origin, record};
