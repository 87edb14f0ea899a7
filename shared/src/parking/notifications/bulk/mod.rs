//! A mail to each of many users: enqueued page by page, and summed up for administrators once all have ended.

mod audience;
mod enqueue;
mod mailing;
mod summary;

pub(super) use audience::Audience;
pub(super) use enqueue::enqueue;
pub use mailing::Mailing;
pub use summary::Summarise;
