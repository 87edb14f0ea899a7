//! Vocabulary without I/O.

pub mod batches;
pub mod clock;
pub mod coalesce;
pub mod currency;
pub mod error;
pub mod identity;
pub mod money;
pub mod network;
pub mod page;
pub mod plural;
pub mod send_error;
pub mod time;
