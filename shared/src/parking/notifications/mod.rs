//! Messages to users and administrators. Each kind is a job; `delivery` makes sure that a message is sent once.

mod address_changed;
pub mod alert;
mod bulk;
mod chat;
mod confirmation;
pub mod deliveries;
mod delivery;
mod export_ready;
mod format;
mod guessing;
mod monthly_reports;
mod notice;
mod notice_mail;
pub mod outage;
mod password;
mod phone_code;
mod receipt;
mod reminders;
mod sms;
mod subscription;
#[cfg(test)]
mod tests;
mod verification;
mod welcome;

pub use address_changed::{SendAddressChanged, address_changed};
pub use bulk::{Mailing, Summarise};
pub use confirmation::{
    SendConfirmation, SendSms, SendSpotChanged, confirm_booking, confirmation, spot_changed,
};
pub use export_ready::{SendExportReady, export_ready};
pub(super) use format::local_time;
pub use guessing::{SendGuessingNotice, guessing};
pub use monthly_reports::{SendMonthlyReport, SendMonthlyReports};
pub use notice::{Notice, PostToChat, SendNotice, notify_administrators};
pub use notice_mail::test_mail;
pub use password::{SendPasswordChanged, SendPasswordReset, password_changed, password_reset};
pub use phone_code::{SendPhoneCode, phone_code};
pub use receipt::{SendReceipt, receipt, receipt_of_payment, receipt_of_refund};
pub use reminders::{SendReminder, SendReminders};
pub use subscription::Subscription;
pub use verification::{SendVerification, has_verified_email, verification};
pub use welcome::{SendWelcome, welcome};
