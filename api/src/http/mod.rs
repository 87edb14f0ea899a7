//! What happens around every request, whichever route it takes. `stack.rs` has the order, `policy.rs` the rules by route.

pub mod admission;
pub mod answers;
pub mod auth;
pub mod body;
pub mod cached;
pub(crate) mod client;
pub(crate) mod cookies;
pub mod drain;
pub mod etag;
pub mod fields;
pub(crate) mod form;
pub mod headers;
pub mod idempotency;
pub(crate) mod linger;
pub mod metrics;
pub(crate) mod page;
pub mod paging;
pub mod params;
pub mod policy;
pub mod problem;
pub mod ranges;
pub mod rate_limit;
pub mod request_id;
pub mod server;
pub mod stack;
pub(crate) mod unread;
