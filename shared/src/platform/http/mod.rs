//! Calls to other servers: bounded in time and size, without proxies and redirects, and only to allowed addresses.

pub mod address;
mod client;

pub use self::client::{Body, Post, Response, Rules, send};
