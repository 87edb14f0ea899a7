//! Kinds of jobs: what one is, what a run of it is given and what it leaves.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::policy,
    platform::queue::Queue,
};

/// A kind of job: its payload (ids, never rows), how it is run and what running it means.
///
/// A job may run more than once and must have the same effect each time. When it is cancelled, its future is dropped
/// at an `await`, so guards must remove what is half done.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind as stored in the ledger: an imperative in kebab case.
    const NAME: &'static str;
    /// The queue in which it waits.
    const QUEUE: Queue;
    /// A longer run is stopped and retried.
    const TIMEOUT: Duration = Duration::from_mins(5);
    /// How many attempts may fail with a transient error before the job is dead.
    const MAX_ATTEMPTS: i64 = match Self::QUEUE {
        Queue::Mail => policy::MAIL_ATTEMPTS,
        _ => 10,
    };

    /// Does the work. A transient error is retried later; any other error ends the job as failed.
    fn run(&self, context: &Context) -> impl Future<Output = Result<Done>> + Send;
}

/// What a successful run leaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// Shown to the owner.
    pub result: Value,
    /// Jobs written in the transaction that records the success, so they exist exactly if it does.
    pub then: Vec<NewJob>,
}

impl Done {
    /// A success with a result for the owner.
    #[must_use]
    pub fn with(result: Value) -> Self {
        Self { result, then: Vec::new() }
    }

    /// A success of a job that no longer has anything to do.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::with(json!({ "skipped": why.into() }))
    }

    /// Adds a job that follows.
    #[must_use]
    pub fn then(mut self, job: NewJob) -> Self {
        self.then.push(job);
        self
    }
}

/// A job that is about to be written into the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Also the task id that users see.
    pub id: Uuid,
    pub(super) kind: &'static str,
    pub(super) queue: Queue,
    pub(super) payload: String,
    pub(super) max_attempts: i64,
    pub(super) owner_id: Option<i64>,
    pub(super) unique_key: Option<String>,
    pub(super) run_at: Option<DateTime<Utc>>,
}

impl NewJob {
    /// A job with `job` as its payload.
    pub fn of<J: Job>(job: &J) -> Result<Self> {
        let payload = serde_json::to_string(job)
            .map_err(|error| anyhow::Error::new(error).context("serializing the payload of a job"))?;
        Ok(Self {
            id: new_id(),
            kind: J::NAME,
            queue: J::QUEUE,
            payload,
            max_attempts: J::MAX_ATTEMPTS,
            owner_id: None,
            unique_key: None,
            run_at: None,
        })
    }

    /// Sets the user who may see and cancel it.
    #[must_use]
    pub fn owner(mut self, user_id: i64) -> Self {
        self.owner_id = Some(user_id);
        self
    }

    /// Allows only one queued or running job of its kind with this key.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Delays it until this time.
    #[must_use]
    pub fn run_at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self
    }
}

/// A new id for a job. Ids sort by creation time.
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// What `Job::run` is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The application.
    pub app: App,
    /// The id of the job.
    pub id: Uuid,
    /// The user who requested the job.
    pub owner_id: Option<i64>,
    /// The number of this run, from 1.
    pub attempt: i64,
    /// Set by the job; readers of its status see it within a moment.
    pub progress: Progress,
}

/// How far a job is: `current` of `total`.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<watch::Sender<(i64, i64)>>);

impl Progress {
    /// Sets both figures. `current` never decreases within a run.
    pub fn set(&self, current: i64, total: i64) {
        self.0.send_if_modified(|progress| {
            let next = (current.max(progress.0), total);
            std::mem::replace(progress, next) != next
        });
    }

    /// Both figures.
    #[must_use]
    pub fn get(&self) -> (i64, i64) {
        *self.0.borrow()
    }

    /// Notifies of changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<(i64, i64)> {
        self.0.subscribe()
    }
}

/// A kind of job without its type, as registered in a worker.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// [`Job::NAME`]
    pub name: &'static str,
    /// [`Job::TIMEOUT`]
    pub timeout: Duration,
    run: fn(&str, Context) -> BoxFuture<'static, Result<Done>>,
}

impl Kind {
    /// The kind `J`.
    #[must_use]
    pub fn of<J: Job>() -> Self {
        Self { name: J::NAME, timeout: J::TIMEOUT, run: run::<J> }
    }

    /// Runs a job of this kind. An unreadable payload is a permanent error.
    pub async fn run(&self, payload: &str, context: Context) -> Result<Done> {
        (self.run)(payload, context).await
    }
}

fn run<J: Job>(payload: &str, context: Context) -> BoxFuture<'static, Result<Done>> {
    let job = serde_json::from_str::<J>(payload);
    Box::pin(async move {
        match job {
            Ok(job) => job.run(&context).await,
            Err(error) => Err(Error::Permanent(format!("the payload cannot be read: {error}"))),
        }
    })
}
