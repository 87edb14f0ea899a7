//! A mail to every driver about the previous calendar month.

mod batch;
mod mail;

pub use batch::SendMonthlyReports;
pub use mail::SendMonthlyReport;
#[cfg(test)]
pub(super) use mail::write;
