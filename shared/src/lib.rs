//! The application: what Parkade can do. `api` and `worker` are its two front doors.
//!
//! Each floor imports only the floors below it: [`operations`], [`parking`], [`jobs`], [`app`], [`platform`], [`base`].

pub mod app;
pub mod base;
pub mod jobs;
pub mod operations;
pub mod parking;
pub mod platform;

pub use base::error::{Error, Result};
