//! The kinds of jobs that a worker can run, one line each.

use std::sync::Arc;

use shared::{
    jobs::{Job, Kind},
    operations::cleanup::CleanUp,
    parking::{
        exports::{cleanup::CleanUpExports, job::WriteExport},
        notifications::{
            PostToChat, SendAddressChanged, SendConfirmation, SendExportReady, SendGuessingNotice,
            SendMonthlyReport, SendMonthlyReports, SendNotice, SendPasswordChanged, SendPasswordReset,
            SendPhoneCode, SendReceipt, SendReminder, SendReminders, SendSms, SendSpotChanged,
            SendVerification, SendWelcome, Summarise,
        },
    },
};

/// The kinds of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Vec<Kind>>);

impl Default for Registry {
    fn default() -> Self {
        Self(Arc::new(vec![
            Kind::of::<WriteExport>(),
            Kind::of::<CleanUpExports>(),
            Kind::of::<SendConfirmation>(),
            Kind::of::<SendReceipt>(),
            Kind::of::<SendExportReady>(),
            Kind::of::<SendWelcome>(),
            Kind::of::<SendVerification>(),
            Kind::of::<SendPasswordReset>(),
            Kind::of::<SendPasswordChanged>(),
            Kind::of::<SendAddressChanged>(),
            Kind::of::<SendGuessingNotice>(),
            Kind::of::<SendNotice>(),
            Kind::of::<PostToChat>(),
            Kind::of::<SendSms>(),
            Kind::of::<SendPhoneCode>(),
            Kind::of::<SendSpotChanged>(),
            Kind::of::<SendReminders>(),
            Kind::of::<SendReminder>(),
            Kind::of::<SendMonthlyReports>(),
            Kind::of::<SendMonthlyReport>(),
            Kind::of::<Summarise>(),
            Kind::of::<CleanUp>(),
        ]))
    }
}

impl Registry {
    /// Adds a kind, for benchmarks and tests.
    #[must_use]
    pub fn with<J: Job>(&self) -> Self {
        let mut kinds = self.0.to_vec();
        kinds.push(Kind::of::<J>());
        Self(Arc::new(kinds))
    }

    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|kind| kind.name)
    }

    /// The kind called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Kind> {
        self.0.iter().copied().find(|kind| kind.name == name)
    }
}
