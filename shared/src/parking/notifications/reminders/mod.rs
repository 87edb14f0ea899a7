//! Reminders to drivers who have not been here for a while, at most one per local day.

mod audience;
mod batch;
mod figures;
mod mail;

pub use batch::SendReminders;
#[cfg(test)]
pub(super) use figures::Figures;
pub use mail::SendReminder;
#[cfg(test)]
pub(super) use mail::values;
