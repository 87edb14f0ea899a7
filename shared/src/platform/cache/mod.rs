//! Responses cached in Redis, each with the generations of the data it was computed from.
//!
//! A write gives its groups new generations, and a response with older ones is not served. The generations are read before
//! the database is, so a response that was computed during a write carries the old ones: a late reader never
//! restores what a writer has just invalidated.
//!
//! In front of Redis, each process keeps responses for at most a second, and drops them when a change is announced.

mod entry;
mod generations;
mod group;
mod local;
mod lookup;

pub use self::{
    entry::Entry,
    group::Group,
    lookup::{Cache, Recipe},
};
