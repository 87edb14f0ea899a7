//! Figures for administrators and for each driver.
//!
//! A reservation counts in the month in which it began, unless it was cancelled or expired. Revenue is what was
//! paid, on the day it was paid, whether a driver declared the payment or an administrator verified it. What is still
//! unpaid is shown beside it.

pub mod admin;
pub mod calendar;
pub mod charts;
pub mod insights;
pub mod monthly;
mod slices;
mod sql;
pub mod user;

pub(super) use self::sql::COUNTED;
