//! The rules of the business without any I/O: what a stay costs, and what can happen to a reservation.

pub mod billing;
pub mod state;
