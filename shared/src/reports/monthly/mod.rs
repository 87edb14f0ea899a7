//! Monthly reports: a mail to every user about the calendar month before.

pub mod job;

pub use job::SendMonthlyReports;
