//! The rules of the business without any I/O: what a stay costs, what can happen to a reservation, and windows of time.

pub mod billing;
pub mod payment;
pub mod pricing;
pub mod state;
pub mod window;
