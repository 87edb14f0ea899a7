//! The unit of work: side effects happen after the commit, and never after a rollback.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::AsyncCommands;
use shared::{
    jobs::{Change, NewJob, Queue, queue},
    parking::notifications::SendWelcome,
    platform::{
        cache::{Entry, Group, Recipe},
        counters::Event,
        idempotency::{self, Claimed, Digest, Idempotency, StoredAnswer},
    },
};
use testkit::{Driver, TestApp};
use uuid::Uuid;

use crate::support::number;

/// A change with every possible side effect, and what of it is visible from outside.
struct Probe {
    t: TestApp,
    asha: Driver,
    session: Uuid,
    loads: Arc<AtomicUsize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    jobs: i64,
    announced: u64,
    cache_loads: usize,
    events: i64,
    answers: i64,
    sessions_in_redis: usize,
}

const BEFORE: Seen =
    Seen { jobs: 0, announced: 0, cache_loads: 1, events: 0, answers: 0, sessions_in_redis: 1 };
const AFTER: Seen =
    Seen { jobs: 1, announced: 1, cache_loads: 2, events: 1, answers: 1, sessions_in_redis: 0 };

impl Probe {
    async fn start(t: TestApp) -> Self {
        let asha = t.driver("Asha").await;
        t.eventually("the welcome mail is announced", async || {
            queue::waiting(&t.app.redis, Queue::Mail).await.unwrap() == 1
        })
        .await;
        let session = Uuid::new_v4();
        let key = t.app.redis.keys().session(session);
        t.app.redis.query(async |mut redis| redis.set::<_, _, ()>(key, "{}").await).await.unwrap();
        Self { t, asha, session, loads: Arc::default() }
    }

    /// Applies everything except the commit.
    async fn change(&self) -> Change {
        let mut change = Change::begin(&self.t.app).await.unwrap();
        let job = NewJob::of(&SendWelcome { user_id: self.asha.id }).unwrap();
        change.enqueue(&job).await.unwrap();
        change.invalidates([Group::Catalog]);
        change.counts(Event::LotCreated);
        change.ends_sessions([self.session]);
        change
    }

    async fn idempotency(&self) -> Idempotency<i64> {
        let app = &self.t.app;
        let digest = Digest::of(&app.keys, "POST /", b"").unwrap();
        let claimed =
            idempotency::claim(&app.db, app.clock.now(), self.asha.id, "key", &digest).await.unwrap();
        let Claimed::First(claim) = claimed else { panic!("{claimed:?}") };
        let render = |number: &i64| Ok(StoredAnswer { status: 200, headers: None, body: number.to_string() });
        Idempotency::new(claim, render)
    }

    /// What other connections see, without the effects of the driver's own registration.
    async fn seen(&self) -> Seen {
        let app = &self.t.app;
        let recipe = Recipe {
            key: "probe".into(),
            groups: vec![Group::Catalog],
            ttl: std::time::Duration::from_secs(60),
        };
        let loads = self.loads.clone();
        let load = move || {
            loads.fetch_add(1, Ordering::Relaxed);
            async { Ok(Entry::of(b"{}".to_vec())) }
        };
        app.cache.get(recipe, load).await.unwrap();
        let session = app.redis.keys().session(self.session);
        Seen {
            jobs: number(&self.t, "SELECT COUNT(*) AS n FROM jobs").await - 1,
            announced: queue::waiting(&app.redis, Queue::Mail).await.unwrap() - 1,
            cache_loads: self.loads.load(Ordering::Relaxed),
            events: app.counters.read(&[app.counters.names(Event::LotCreated).0]).await.unwrap()[0],
            answers: number(&self.t, "SELECT COUNT(*) AS n FROM idempotency_keys WHERE status = 200").await,
            sessions_in_redis: app.redis.query(async |mut redis| redis.exists(session).await).await.unwrap(),
        }
    }

    /// Announcing is a background task, so a wrong announcement would only show after a moment.
    async fn is_unchanged(&self) {
        self.t.app.tasks.close();
        self.t.app.tasks.wait().await;
        assert_eq!(self.seen().await, BEFORE);
    }
}

#[testkit::both_databases]
async fn effects_follow_the_commit(t: TestApp) {
    let probe = Probe::start(t).await;
    let idempotency = probe.idempotency().await;
    assert_eq!(probe.seen().await, BEFORE);
    let change = probe.change().await;
    assert_eq!(probe.seen().await, BEFORE, "before the commit");
    assert_eq!(change.commit_with_answer(&idempotency, 42).await.unwrap(), 42);
    probe.t.eventually("all side effects are visible", async || probe.seen().await == AFTER).await;
}

#[testkit::both_databases]
async fn nothing_follows_a_rollback(t: TestApp) {
    let probe = Probe::start(t).await;
    let idempotency = probe.idempotency().await;
    assert_eq!(probe.seen().await, BEFORE);
    let change = probe.change().await;
    idempotency.store(change.tx(), &42).await.unwrap();
    drop(change);
    probe.is_unchanged().await;
}

#[testkit::both_databases]
async fn a_change_whose_claim_was_taken_over_is_rolled_back(t: TestApp) {
    let probe = Probe::start(t).await;
    let idempotency = probe.idempotency().await;
    crate::support::change(&probe.t, "DELETE FROM idempotency_keys", []).await.unwrap();
    assert_eq!(probe.seen().await, BEFORE);
    let refused = probe.change().await.commit_with_answer(&idempotency, 42).await;
    assert!(refused.unwrap_err().to_string().contains("in progress"));
    probe.is_unchanged().await;
}
