//! Reminders: to users who have not been here for a while, at most one a local day.

pub mod job;

pub use job::SendReminders;
