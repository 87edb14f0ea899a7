//! One unit of work: a transaction and what follows from its commit.

use redis::{AsyncCommands, RedisResult};
use uuid::Uuid;

use crate::{
    app::App,
    base::error::Result,
    jobs::{
        job::NewJob,
        ledger::{self, Enqueued},
        transport,
    },
    platform::{cache::Group, counters::Event, db::Transaction, idempotency::Idempotency},
};

/// A transaction and what follows from its commit: caches are invalidated, jobs announced and events counted, in this
/// order. Dropped without a commit, it is rolled back and nothing follows.
///
/// Wrap it in `retry_on_conflict` where others may lock the same rows.
#[derive(Debug)]
#[must_use = "a change that is not committed is rolled back"]
pub struct Change {
    app: App,
    tx: Transaction,
    follow_ups: FollowUps,
}

/// What follows from a commit. Collected by a [`Change`], or for a write that is a single statement.
#[derive(Debug, Default)]
pub struct FollowUps {
    jobs: Vec<Enqueued>,
    groups: Vec<Group>,
    events: Vec<Event>,
    sessions: Vec<Uuid>,
}

impl Change {
    /// Begins the transaction.
    pub async fn begin(app: &App) -> Result<Self> {
        Ok(Self { app: app.clone(), tx: app.db.begin().await?, follow_ups: FollowUps::default() })
    }

    /// For the statements of the transaction.
    pub const fn tx(&self) -> &Transaction {
        &self.tx
    }

    /// Writes a job, to be announced to the workers after the commit. Returns its id, or that of the live job with the
    /// same unique key.
    pub async fn enqueue(&mut self, job: &NewJob) -> Result<Uuid> {
        let job = ledger::insert(&self.tx, self.app.clock.now(), job).await?;
        self.follow_ups.announces(job);
        Ok(job.id)
    }

    /// Marks what is cached for these groups as stale.
    pub fn invalidates(&mut self, groups: impl IntoIterator<Item = Group>) {
        self.follow_ups.invalidates(groups);
    }

    /// Adds the event to the counters.
    pub fn counts(&mut self, event: Event) {
        self.follow_ups.counts(event);
    }

    /// Drops these sessions from Redis; without that they would be accepted for up to another second.
    pub fn ends_sessions(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        self.follow_ups.sessions.extend(ids);
    }

    /// Stores the answer to the request under its key, then commits.
    pub async fn commit_with_answer<T>(self, idempotency: &Idempotency<T>, outcome: T) -> Result<T> {
        idempotency.store(&self.tx, &outcome).await?;
        self.commit().await?;
        Ok(outcome)
    }

    /// Commits, then runs the follow-ups. If the connection is lost during the commit, its outcome is unknown and no
    /// follow-up runs.
    pub async fn commit(self) -> Result<()> {
        let Self { app, tx, follow_ups } = self;
        tx.commit().await?;
        follow_ups.run(&app).await;
        Ok(())
    }
}

impl FollowUps {
    /// Announces a job that was written.
    pub fn announces(&mut self, job: Enqueued) {
        self.jobs.push(job);
    }

    /// Marks what is cached for these groups as stale.
    pub fn invalidates(&mut self, groups: impl IntoIterator<Item = Group>) {
        self.groups.extend(groups);
    }

    /// Adds the event to the counters.
    pub fn counts(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Runs them, after the commit.
    pub async fn run(self, app: &App) {
        if !self.sessions.is_empty() {
            drop_sessions(app, &self.sessions).await;
        }
        if !self.groups.is_empty() {
            app.cache.invalidate(&self.groups).await;
        }
        if !self.jobs.is_empty() {
            transport::announce_soon(app, self.jobs);
        }
        for event in self.events {
            app.counters.record(event);
        }
    }
}

async fn drop_sessions(app: &App, ids: &[Uuid]) {
    let keys = app.redis.keys();
    let keys: Vec<String> = ids.iter().flat_map(|id| [keys.session(*id), keys.user_session(*id)]).collect();
    let dropped: RedisResult<()> = app.redis.query(async |mut redis| redis.del(keys).await).await;
    if let Err(error) = dropped {
        tracing::debug!(%error, "ended sessions stay in Redis for up to a second");
    }
}
