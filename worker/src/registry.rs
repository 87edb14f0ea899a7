//! Every kind of job that this worker can run, a line each.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use shared::{
    Result,
    jobs::{Context, Done, Job},
    operations::cleanup::CleanUp,
    parking::{
        exports::{cleanup::CleanUpExports, job::ExportCsv},
        notifications::{
            PostToChat, SendConfirmation, SendExportReady, SendMonthlyReport, SendMonthlyReports, SendNotice,
            SendReceipt, SendReminder, SendReminders, SendSms, SendWelcome, Summarise,
        },
    },
};

/// A kind of job, without its type.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// As in the ledger.
    pub name: &'static str,
    /// A run takes no longer.
    pub timeout: Duration,
    run: fn(&str, Context) -> BoxFuture<'static, Result<Done>>,
}

impl Kind {
    fn of<J: Job>() -> Self {
        Self { name: J::NAME, timeout: J::TIMEOUT, run: run::<J> }
    }

    /// Runs a job of this kind.
    ///
    /// # Errors
    /// Those of the job; a payload that cannot be read is permanent.
    pub async fn run(&self, payload: &str, context: Context) -> Result<Done> {
        (self.run)(payload, context).await
    }
}

fn run<J: Job>(payload: &str, context: Context) -> BoxFuture<'static, Result<Done>> {
    let job = serde_json::from_str::<J>(payload);
    Box::pin(async move {
        match job {
            Ok(job) => job.run(&context).await,
            Err(error) => Err(shared::Error::Permanent(format!("the payload cannot be read: {error}"))),
        }
    })
}

/// The kinds of a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Vec<Kind>>);

impl Default for Registry {
    fn default() -> Self {
        Self(Arc::new(vec![
            Kind::of::<ExportCsv>(),
            Kind::of::<CleanUpExports>(),
            Kind::of::<SendConfirmation>(),
            Kind::of::<SendReceipt>(),
            Kind::of::<SendExportReady>(),
            Kind::of::<SendWelcome>(),
            Kind::of::<SendNotice>(),
            Kind::of::<PostToChat>(),
            Kind::of::<SendSms>(),
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
    /// The same and one kind more: benchmarks and tests bring their own.
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
