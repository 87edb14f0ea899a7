//! Integrity: rules that the data keeps at all times, checked on a running system.

mod bills;
mod check;
mod rules;

pub use self::check::{Check, check};
