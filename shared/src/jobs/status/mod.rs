//! The live status of jobs for their owners: published in Redis while a job runs, and read from the ledger when Redis
//! has nothing.

pub mod followers;
mod live;
mod version;

pub use live::{
    Status, delete, error_for_owner, find, find_in_ledger, notify, parse_message, publish,
    publish_from_ledger,
};
pub use version::Version;
