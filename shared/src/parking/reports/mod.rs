//! Figures for administrators and for each driver.
//!
//! A reservation counts in the month in which it began, unless it was cancelled or expired. Revenue counts when it was
//! paid, which is when the driver left; reserved and running stays have no revenue yet.

pub mod admin;
pub mod calendar;
pub mod charts;
pub mod insights;
pub mod monthly;
mod slices;
mod sql;
pub mod user;

pub(super) use self::sql::COUNTED;
